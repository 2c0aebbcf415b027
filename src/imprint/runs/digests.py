"""Digests of values, files and folders: sha256, 64 hexadecimal characters, the same on every machine."""

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imprint.errors import ImprintError

_SETTLED_NS = 1_000_000_000
_remembered: dict[str, tuple[tuple[int, int, int, int], str]] = {}


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII, floats by `repr`; raises on NaN and non-JSON."""
    check_json(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """The sha256 of a JSON-able value; `1` and `1.0` differ, tuples equal lists, key order does not matter.

    >>> digest({"a": 1, "b": [2]}) == digest({"b": (2,), "a": 1})
    True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The sha256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(folder: Path) -> str:
    """The sha256 of a folder: relative names and bytes of all files under it, hidden ones too, links followed."""
    return digest({path.relative_to(folder).as_posix(): _remembered_digest(path) for path in walk_files(folder)})


def content_digest(path: Path) -> str:
    """The sha256 of a file's bytes or of a folder's tree.

    Trust: a file hashed earlier in this process is hashed again only when its size, time or inode changed.
    """
    return tree_digest(path) if path.is_dir() else _remembered_digest(path)


def check_json(value: Any, where: str = "value") -> None:
    """Raise ImprintError with the place and the remedy if JSON cannot hold the value exactly."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ImprintError(f"{where} is {value!r}, which JSON cannot hold: write None or leave the entry out")
    if value is None or isinstance(value, bool | int | float | str):
        return
    if not isinstance(value, dict | list | tuple):
        raise ImprintError(f"{where} is a {type(value).__name__}, which JSON cannot hold: convert it with .tolist()")
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and not isinstance(key, str):
            raise ImprintError(f"{where} has the key {key!r}, and JSON keys are text: use str({key!r})")
        check_json(child, f"{where}.{key}" if isinstance(value, dict) else f"{where}[{key}]")


def walk_files(folder: Path) -> Iterator[Path]:
    """All files under a folder in a fixed order; linked folders are entered, each real folder once."""
    entered: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        entered.add(os.path.realpath(parent))
        folders[:] = sorted(name for name in folders if os.path.realpath(os.path.join(parent, name)) not in entered)
        yield from (path for name in sorted(names) if (path := Path(parent, name)).is_file())


def _remembered_digest(path: Path) -> str:
    status = path.stat()
    signature = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    known = _remembered.get(str(path))
    if known is not None and known[0] == signature:
        return known[1]
    sha256 = file_digest(path)
    # A file written a moment ago may change again within one tick of its clock and keep its time: hash it next time.
    if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
        _remembered[str(path)] = (signature, sha256)
    return sha256
