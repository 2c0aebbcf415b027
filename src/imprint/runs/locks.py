"""One process at a time on one key: a lock file that the kernel frees when its holder dies, however it dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path


@contextmanager
def exclusive(path: Path, *, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file; if another process holds it, call `waiting(its process id)` once and wait."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _try_lock(descriptor):
                waiting(os.pread(descriptor, 32, 0).decode("ascii", "replace") or "unknown")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(path, descriptor):
                _sign(descriptor)
                with _removed_afterwards(path):
                    yield
                return
        finally:
            os.close(descriptor)


@contextmanager
def exclusive_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock file if nobody does; gives whether it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        held = _try_lock(descriptor) and _is_still(path, descriptor)
        with _removed_afterwards(path) if held else nullcontext():
            yield held
    finally:
        os.close(descriptor)


@contextmanager
def _removed_afterwards(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):  # a lock file that stays behind locks nothing
            path.unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_still(path: Path, descriptor: int) -> bool:
    # The previous holder removes the file before it lets go: a lock on a removed file excludes nobody.
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # the name of the holder is a courtesy: a full disk must not stop a reader
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
