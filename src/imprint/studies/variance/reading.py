"""Files to rows: CSV, TSV, JSON Lines and Parquet, every cell as text with the place that it came from."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imprint.corpus.decoding import read_text
from imprint.corpus.jsonl import read_records
from imprint.errors import InputError

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_JSONL = (".jsonl", ".ndjson")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a file: its cells as text by column, and where a person finds it."""

    place: str
    cells: dict[str, str]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """The columns of a table file, and its rows; the kind of the file is its suffix.

    Raises:
        InputError: the file is missing, of another kind, damaged, has no row, a row of another length than the header, or a
            column without a name or with that of another.
    """
    columns, rows = _reader(path.suffix.lower())(path)
    if not rows:
        raise InputError(f"{path.name} holds no row of values: give one row a value below the header.")
    unnamed = [place for place, name in enumerate(columns, start=1) if not name]
    if unnamed:
        raise InputError(f"{path.name}: column {unnamed[0]} has no name in the header; name or remove it.")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path.name} has two columns '{twice}'; rename or remove one.")
    return columns, rows


def _reader(suffix: str) -> Any:
    if suffix in _DELIMITERS:
        return _delimited
    if suffix in _JSONL:
        return _records
    if suffix == ".parquet":
        return _parquet
    known = ", ".join((*_DELIMITERS, *_JSONL, ".parquet"))
    raise InputError(f"a table of outcomes ends in {known}, not '{suffix}'; save it as one of these.")


def _delimited(path: Path) -> tuple[list[str], list[Row]]:
    lines = csv.reader(
        io.StringIO(read_text(path), newline=""), delimiter=_DELIMITERS[path.suffix.lower()], strict=True
    )
    columns: list[str] = []
    rows: list[Row] = []
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip() for cell in cells]
                continue
            if len(cells) != len(columns):
                raise InputError(f"{path.name}:{lines.line_num} has {len(cells)} cells and the header {len(columns)}.")
            texts = (cell.strip() for cell in cells)
            rows.append(Row(place=f"{path.name}:{lines.line_num}", cells=dict(zip(columns, texts, strict=True))))
    except csv.Error as error:
        raise InputError(f"{path.name}:{lines.line_num} is not a row of the table ({error}); correct it.") from error
    return columns, rows


def _records(path: Path) -> tuple[list[str], list[Row]]:
    rows = [
        Row(place=f"{path.name}:{number}", cells={key.strip(): _text(value) for key, value in record.items()})
        for number, record in read_records(path)
    ]
    return list(dict.fromkeys(key for row in rows for key in row.cells)), rows


def _parquet(path: Path) -> tuple[list[str], list[Row]]:
    try:
        frame = pl.read_parquet(path)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read ({error.strerror or error}); check path and permissions."
        ) from error
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path.name} is not a Parquet table ({' '.join(str(error).split())}).") from error
    return frame.columns, list(_parquet_rows(path, frame))


def _parquet_rows(path: Path, frame: pl.DataFrame) -> Iterator[Row]:
    for number, record in enumerate(frame.iter_rows(named=True), start=1):
        yield Row(place=f"{path.name} row {number}", cells={key: _text(value) for key, value in record.items()})


def _text(value: object) -> str:
    """A whole number as it is written in a CSV, whichever type holds it, so that seeds keep one name."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()
