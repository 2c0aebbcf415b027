"""Results on standard output: a table or prose for people, one JSON document for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from imprint.errors import OutputError


def print_json(value: Any) -> None:
    """One JSON document on standard output and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Lines of prose on standard output, wrapped by the terminal."""
    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; numbers are right-aligned and shown with three decimals."""
    table = Table(title=title, title_justify="left")
    body = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float)) or row[index] is None for row in body)
        table.add_column(column, justify="right" if numeric else "left")
    for row in body:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table, markup=False)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def output_folder(out: Path) -> Path:
    """The folder, created if need be and writable.

    Raises:
        OutputError: it is a file, or cannot be created or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".imprint-write-test"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"output folder '{out}' cannot be written ({error.strerror}); choose another with --out"
        ) from error
    return out
