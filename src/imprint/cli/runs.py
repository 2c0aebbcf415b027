"""`imprint runs list|show|verify|prune`: the store of results."""

import re
from pathlib import Path

from cyclopts import App

from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError, IntegrityError
from imprint.runs import Store

runs = App(name="runs", help="List, show, verify and prune stored results.")


def _store(folder: Path) -> Store:
    root = folder / "store" if (folder / "store").is_dir() else folder
    if not root.is_dir() or (root is folder and any(root.iterdir()) and not _holds_results(root)):
        raise ConfigError(f"'{folder}' is not the folder of a run or of a store")
    return Store(root)


def _holds_results(root: Path) -> bool:
    """Whether a store has ever written here: another folder must not be told that all of its results are sound."""
    return any(re.fullmatch(r"[0-9a-f]{2}|[0-9a-f]{64}\..*", path.name) for path in root.iterdir())


@runs.command(name="list")
def list_entries(folder: Path, /, *, json: bool = False) -> None:
    """List stored results: key, step, size, seconds and when.

    Args:
        folder: A run's folder or its store.
        json: Print JSON.
    """
    entries = _store(folder).list()
    if json:
        return print_json([entry.manifest.model_dump(mode="json") for entry in entries])
    rows = [
        (
            entry.key[:12],
            entry.step.rsplit(".", 1)[-1],
            entry.bytes,
            entry.manifest.seconds,
            entry.manifest.created[:19],
        )
        for entry in entries
    ]
    print_table(f"{len(rows)} stored results", ("key", "step", "bytes", "seconds", "created"), rows)


@runs.command
def show(folder: Path, key: str, /) -> None:
    """Show one stored result's manifest as JSON.

    Args:
        folder: A run's folder or its store.
        key: The key, or its beginning.
    """
    print_json(_store(folder).entry(key).manifest.model_dump(mode="json"))


@runs.command
def verify(folder: Path, /, *, json: bool = False) -> None:
    """Re-hash every stored file against its manifest; exit code 1 when something is wrong.

    Args:
        folder: A run's folder or its store.
        json: Print JSON.
    """
    store = _store(folder)
    problems = store.verify(progress=TerminalReporter(quiet=json))
    if json:
        print_json([{"key": problem.key, "file": problem.file, "what": problem.what} for problem in problems])
    else:
        print_lines([f"{problem.key[:12]} {problem.file}: {problem.what}" for problem in problems])
    if problems:
        raise IntegrityError(
            f"{len(problems)} problems in {len(store.list())} stored results; prune them and run again"
        )
    if not json:
        print_lines([f"{len(store.list())} stored results verified"])


@runs.command
def prune(folder: Path, /, *keep: str, yes: bool = False) -> None:
    """Delete stored results except those named and all that they build on.

    Args:
        folder: A run's folder or its store.
        keep: Keys (or beginnings of keys) to keep with everything upstream of them.
        yes: Really delete; without it nothing is.
    """
    store = _store(folder)
    if not yes:
        raise ConfigError(f"prune would delete up to {len(store.list())} results in '{folder}'; add --yes to do it")
    print_lines([f"deleted {key[:12]}" for key in store.prune(list(keep))])
