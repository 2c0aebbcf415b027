"""JSON Lines: one JSON object a line, each failure reported with its file and line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imprint.corpus.decoding import read_lines, text_flaw
from imprint.errors import CorpusError


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSONL file (also `.gz`, `.xz`) with their 1-based line numbers; blank lines are skipped.

    Raises:
        CorpusError: a line is not one JSON object, with `file:line` and the start of that line.
    """
    for number, line in read_lines(path):
        if line and not line.isspace():
            yield number, _record(line, where=f"{path}:{number}")


def _record(line: str, *, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not valid JSON ({error}): {excerpt(line)}; one JSON object a line.") from error
    if not isinstance(record, dict):
        raise CorpusError(f"{where} holds {_kind(record)}, not a JSON object: {excerpt(line)}.")
    return record


def text_field(record: dict[str, Any], key: str, *, where: str) -> str:
    """Text under `key`, checked to be a usable document text.

    Raises:
        CorpusError: the key is missing (with the keys seen), not a string, empty, or not expressible in UTF-8.
    """
    text = string_field(record, key, where=where)
    if (flaw := text_flaw(text)) is not None:
        raise CorpusError(f"{where}: the text under {key!r} {flaw}; correct or remove this line.")
    return text


def string_field(record: dict[str, Any], key: str, *, where: str) -> str:
    """String under `key`; a missing key is reported together with the keys that are there."""
    if key not in record:
        seen = ", ".join(repr(name) for name in record) or "none"
        raise CorpusError(f"{where} has no key {key!r} (keys seen: {excerpt(seen)}); name the right key.")
    if not isinstance(record[key], str):
        raise CorpusError(f"{where}: {key!r} is {_kind(record[key])}, not a string; correct or remove this line.")
    return str(record[key])


def excerpt(text: str, *, shown: int = 60) -> str:
    """First `shown` characters of `text`, for an error message; safe to print whatever the text holds."""
    start = text if len(text) <= shown else text[:shown] + "..."
    return start.encode("utf-8", "backslashreplace").decode("utf-8")


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object")
