"""Results on disk, each in a folder named by the key of the step that made it; safe against crashes and company.

    root/<first 2 of key>/<key>/   a finished result and its manifest.json; never changed again
    root/<key>.part/               an unfinished result, taken up by the next attempt
    root/<key>.lock                held by the process that works on the key
    root/<key>.trash*/             on its way out

A folder becomes a result by one rename, after its files and its manifest have reached the disk.
"""

import builtins
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from imprint.errors import ConfigError, ImprintError, IntegrityError, OutputError
from imprint.runs.digests import digest
from imprint.runs.files import is_temporary, read_json, sync, write_json, writing
from imprint.runs.locks import exclusive, exclusive_if_free
from imprint.runs.manifest import (
    MANIFEST,
    SCRATCH,
    Entry,
    Manifest,
    Problem,
    check_folder,
    looks_complete,
    read_manifest,
    remove_leftovers,
    remove_scratch,
    result_files,
    seal_folder,
)
from imprint.runs.progress import Reporter, silent
from imprint.runs.recipe import Step, versions
from imprint.types import Advance, no_progress

_KEY = re.compile(r"[0-9a-f]{64}")


class Store:
    """The results under one root folder, which is made when first needed."""

    def __init__(self, root: Path) -> None:
        """Name the folder; nothing is read or written yet."""
        self.root = Path(root).absolute()

    def get(self, step: Step, *, progress: Reporter = silent, advance: Advance = no_progress) -> Path:
        """The folder of the step's result; computes it, and what it builds on, if it is not there yet.

        An interrupted attempt, however it ended, is taken up again. If another process works on the same step, this
        one waits and then reads. Raises OutputError if the root cannot be written, and whatever the step raises.
        """
        key = step.key
        if self._is_complete(key):
            return self._folder(key)
        for upstream in step.upstream():
            self.get(upstream, progress=progress)
        with self._locked(key, progress):
            if not self._is_complete(key):
                self._compute(step, key, progress, advance)
        return self._folder(key)

    def has(self, step: Step) -> bool:
        """Whether `get` would return at once; a damaged result counts as absent. Quick: nothing is hashed."""
        return self._is_complete(step.key)

    def path(self, step: Step) -> Path:
        """Where the step's result is or will be; see `has`."""
        return self._folder(step.key)

    def entry(self, key_prefix: str) -> Entry:
        """The one finished result whose key begins so; ConfigError if there is none or more than one."""
        found = [entry for entry in self.list() if entry.key.startswith(key_prefix)]
        if len(found) != 1:
            some = ", ".join(entry.key[:12] for entry in (found or self.list())[:5]) or "nothing"
            count = "no result" if not found else f"{len(found)} results"
            raise ConfigError(f"{count} in {self.root} has a key that begins with {key_prefix!r}; it holds: {some}")
        return found[0]

    def verify(self, *, progress: Reporter = silent) -> builtins.list[Problem]:
        """Re-hash every result and list every missing, changed or unexpected file; empty: all is as it was made."""
        folders = [*self._result_folders()]
        problems: list[Problem] = []
        with progress.stage("verify", len(folders)) as advance:
            for folder in folders:
                problems += check_folder(folder, folder.name)
                advance(1)
        return problems

    def unfinished(self) -> builtins.list[str]:
        """Keys of the steps that were interrupted, or that another process works on now."""
        return sorted(path.stem for path in self.root.glob("*.part") if _KEY.fullmatch(path.stem))

    def prune(self, keep: Collection[str | Step]) -> builtins.list[str]:
        """Delete every result and unfinished attempt but those in `keep` and what they were made from.

        `keep` holds keys, or their beginnings as `entry` takes them, or steps. Skips what another process works on
        right now. Returns the deleted keys.

        Trust: what an unfinished attempt builds on is known from its step, not from its key.
        """
        kept = self._with_upstream({key for item in keep for key in self._keys(item)})
        candidates = {folder.name for folder in self._result_folders()} | {*self.unfinished(), *self._trashed()}
        with writing(self.root):
            removed = [key for key in sorted(candidates - kept) if self._delete(key)]
            for lock in self.root.glob("*.lock"):
                with exclusive_if_free(lock):
                    pass  # left by a killed process: taking it removes it
        return removed

    def list(self) -> builtins.list[Entry]:
        """All finished results with a sound manifest, oldest first."""
        entries = [Entry(folder=folder, manifest=manifest) for folder, manifest in self._manifests()]
        return sorted(entries, key=lambda entry: (entry.manifest.created, entry.key))

    def _compute(self, step: Step, key: str, progress: Reporter, advance: Advance) -> None:
        discarded = self._discard(self._folder(key))
        part = self._part(key)
        resumed = part.is_dir()
        if not (resumed and _is_ready(part, key)):
            part.mkdir(exist_ok=True)
            remove_leftovers(part)
            (part / MANIFEST).unlink(missing_ok=True)
            context = Context(self, progress=progress, advance=advance, folder=part)
            if discarded:
                context.warn("an earlier result of this step was damaged and has been replaced")
            self._attempt(step, key, context, resumed=resumed)
        self._publish(key)

    def _attempt(self, step: Step, key: str, context: "Context", *, resumed: bool) -> None:
        part, recipe = self._part(key), step.recipe()
        wall, cpu = time.perf_counter(), _cpu_seconds()
        try:
            step.execute(part, context)
        except Exception as error:
            error.add_note(f"in step {step.name} ({key[:12]})")
            raise
        seconds, cpu_seconds = time.perf_counter() - wall, _cpu_seconds() - cpu
        self._refuse_surprises(step, key, digest(recipe))
        manifest = Manifest(
            key=key,
            step=step.name,
            recipe=recipe,
            upstream=tuple(sorted({*context.used, *(upstream.key for upstream in step.upstream())})),
            files={},
            seconds=round(seconds - context.seconds_elsewhere, 3),
            cpu_seconds=round(cpu_seconds - context.cpu_seconds_elsewhere, 3),
            resumed=resumed,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            versions=versions(),
            warnings=context.warnings,
        )
        _sync_tree(part)
        seal_folder(part, manifest)

    def _refuse_surprises(self, step: Step, key: str, key_at_start: str) -> None:
        part = self._part(key)
        if (part / MANIFEST).exists():
            (part / MANIFEST).unlink()
            raise ImprintError(f"step {step.name} wrote a file {MANIFEST}, a name that the store needs: rename it")
        if not step.key == key_at_start == key:
            self._discard(part)
            raise ImprintError(
                f"an input of step {step.name} changed while it ran, so its result was dropped: run again"
            )

    def _publish(self, key: str) -> None:
        part, folder = self._part(key), self._folder(key)
        remove_scratch(part)
        remove_leftovers(part)
        folder.parent.mkdir(exist_ok=True)
        sync(part)
        part.rename(folder)
        sync(folder.parent)
        sync(self.root)

    @contextmanager
    def _locked(self, key: str, progress: Reporter) -> Iterator[None]:
        def waiting(holder: str) -> None:
            progress.message(f"process {holder} is computing {key[:12]}: waiting for it")

        with writing(self.root):
            self._make_root()
            with exclusive(self._lock(key), waiting=waiting):
                yield

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OutputError(f"cannot write to {self.root}: it is a file, not a folder: choose another") from None

    def _discard(self, folder: Path) -> bool:
        """Remove a folder in one step as far as readers can see; gives whether it was there."""
        if not folder.exists():
            return False
        trash = self.root / f"{folder.name.removesuffix('.part')}.trash{os.getpid()}-{time.monotonic_ns()}"
        folder.rename(trash)
        shutil.rmtree(trash)
        return True

    def _delete(self, key: str) -> bool:
        with exclusive_if_free(self._lock(key)) as free:
            if free:
                self._discard(self._folder(key))
                self._discard(self._part(key))
                for trash in self.root.glob(f"{key}.trash*"):
                    shutil.rmtree(trash)
            return free

    def _keys(self, item: str | Step) -> Iterator[str]:
        if isinstance(item, Step):
            yield item.key
            yield from (key for upstream in item.upstream() for key in self._keys(upstream))
        else:
            yield item if _KEY.fullmatch(item) else self.entry(item).key

    def _with_upstream(self, keys: set[str]) -> set[str]:
        upstream = {manifest.key: manifest.upstream for _, manifest in self._manifests()}
        kept: set[str] = set()
        waiting = set(keys)
        while waiting:
            kept.add(key := waiting.pop())
            waiting |= set(upstream.get(key, ())) - kept
        return kept

    def _manifests(self) -> Iterator[tuple[Path, Manifest]]:
        for folder in self._result_folders():
            try:
                yield folder, read_manifest(folder, folder.name)
            except IntegrityError:  # `verify` names it
                continue

    def _result_folders(self) -> builtins.list[Path]:
        folders = self.root.glob("[0-9a-f][0-9a-f]/*")
        return sorted(folder for folder in folders if _KEY.fullmatch(folder.name) and folder.is_dir())

    def _trashed(self) -> set[str]:
        return {path.name.partition(".")[0] for path in self.root.glob("*.trash*")}

    def _is_complete(self, key: str) -> bool:
        return looks_complete(self._folder(key), key)

    def _folder(self, key: str) -> Path:
        return self.root / key[:2] / key

    def _part(self, key: str) -> Path:
        return self.root / f"{key}.part"

    def _lock(self, key: str) -> Path:
        return self.root / f"{key}.lock"


class Context:
    """What a running step may ask of its surroundings."""

    def __init__(
        self, store: Store, *, progress: Reporter = silent, advance: Advance = no_progress, folder: Path | None = None
    ) -> None:
        """Surroundings in `store`; with a `folder`, warnings survive a crash in its scratch."""
        self.store = store
        self.progress = progress
        self.used: set[str] = set()
        self.seconds_elsewhere = 0.0
        self.cpu_seconds_elsewhere = 0.0
        self._advance = advance
        self._journal = None if folder is None else folder / SCRATCH / "warnings.json"
        self._warnings: list[str] = _read_journal(self._journal)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of so far, also by an interrupted attempt; each sentence once."""
        return tuple(self._warnings)

    def get(self, step: Step) -> Path:
        """The folder of the result of another step, normally one from the fields; read it, never write to it."""
        wall, cpu = time.perf_counter(), _cpu_seconds()
        folder = self.store.get(step, progress=self.progress)
        self.seconds_elsewhere += time.perf_counter() - wall
        self.cpu_seconds_elsewhere += _cpu_seconds() - cpu
        self.used.add(folder.name)
        return folder

    def warn(self, text: str) -> None:
        """Put one sentence into the manifest: what was skipped, or why the result is weaker than it looks."""
        text = text.replace(str(self.store.root), "<store>")
        if text not in self._warnings:
            self._warnings.append(text)
            self.progress.message(text)
            if self._journal is not None:
                self._journal.parent.mkdir(exist_ok=True)
                write_json(self._journal, self._warnings)

    def advance(self, units: int) -> None:
        """Say that so many more units of this step's work are done."""
        self._advance(units)


def _read_journal(journal: Path | None) -> list[str]:
    if journal is None or not journal.exists():
        return []
    try:
        return [str(text) for text in read_json(journal)]
    except IntegrityError:  # torn by a power failure: the attempt will warn again
        return []


def _is_ready(part: Path, key: str) -> bool:
    """Whether an attempt was killed between its manifest and the rename, with all files still as they were sealed."""
    files = [Path(problem.file) for problem in check_folder(part, key)]
    return all(file.parts[0] == SCRATCH or is_temporary(file) for file in files)


def _sync_tree(folder: Path) -> None:
    for name in result_files(folder):
        sync(folder / name)
    for parent, _, _ in os.walk(folder):
        sync(Path(parent))


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
