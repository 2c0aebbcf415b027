"""Files that are either there as a whole or not at all, and write failures in one clear sentence."""

import errno
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from imprint.errors import InputError, IntegrityError, OutputError
from imprint.runs.digests import check_json

_serial = itertools.count()

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EFBIG: "the file would be larger than this system allows: choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "permission denied: choose a folder that you may write to",
    errno.EPERM: "the operation is not permitted there: choose a folder that you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another folder",
    errno.ENAMETOOLONG: "the path is too long: choose a shorter one",
    errno.ENOLCK: "the file system has no file locks: choose a folder on a local disk",
}
_ALWAYS_ABOUT_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOLCK}


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically: sorted keys, two spaces, final newline, floats by `repr`, NaN refused."""
    check_json(value, path.name)
    write_bytes_atomic(path, (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The value in a JSON file; InputError if there is no such file, IntegrityError (file:line) if it is not JSON."""
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise IntegrityError(f"{path}:{error.lineno}: not valid JSON ({error.msg}): make the file again") from error
    except ValueError as error:
        raise IntegrityError(f"{path}: not valid JSON ({error}): make the file again") from error


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Replace a file by these bytes so that a reader, or a crash at any moment, sees the old or the new file."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path with the same suffix to write to; it takes the place of `path` when the block ends well.

    For writers that want a file name, such as `safetensors.torch.save_file` and `numpy.save`:

    >>> with atomic_file(folder / "weights.npy") as temporary:  # doctest: +SKIP
    ...     numpy.save(temporary, weights)
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{next(_serial)}.partial{path.suffix}")
    try:
        with writing(path.parent):
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a crash left this file behind in the middle of `atomic_file`."""
    return path.name.startswith(".") and ".partial" in path.name


def sync(path: Path) -> None:
    """Force a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write under `folder` (full disk, read-only, no permission) into OutputError.

    A full disk or a read-only file system counts wherever it was met. Other failures count only if they name a path
    under `folder`, so that an unreadable input is not blamed on the output.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _ALWAYS_ABOUT_WRITING or (error.errno in _REMEDIES and _concerns(error, folder)):
            raise OutputError(_sentence(folder, _REMEDIES[error.errno])) from error
        raise
    except Exception as error:  # writers in Rust and C++ (safetensors, torch) report a full disk as their own types
        if "No space left on device" in str(error) and not isinstance(error, OutputError):
            raise OutputError(_sentence(folder, _REMEDIES[errno.ENOSPC])) from error
        raise


def _sentence(folder: Path, remedy: str) -> str:
    return f"cannot write to {folder}: {remedy} and run the same command again; finished work is kept"


def _concerns(error: OSError, folder: Path) -> bool:
    if not isinstance(error.filename, str | os.PathLike):
        return False
    named, under = Path(os.fspath(error.filename)).absolute(), folder.absolute()
    return named.is_relative_to(under) or under.is_relative_to(named)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
