"""Bytes on disk to text: unpacked by suffix, strict UTF-8, and one clear sentence for everything that can go wrong.

Nothing is guessed and nothing is repaired: a file is UTF-8 (with or without a byte order mark) or it is refused with
the offset of the first bad byte. Line ends stay as they are in the file.
"""

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imprint.errors import CorpusError

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BROKEN_ARCHIVE = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)


def read_text(path: Path) -> str:
    """Whole text of one UTF-8 file (`.gz` and `.xz` are unpacked), without its byte order mark.

    Raises:
        CorpusError: the file is missing, unreadable, truncated, binary or not UTF-8.
    """
    with open_bytes(path) as stream:
        return decode(stream.read(), where=str(path))


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Lines of one UTF-8 file with their 1-based numbers, split at `\n` only (a trailing `\r` is dropped).

    Lines of any length are read whole; U+2028 and the like inside a line do not split it.
    """
    with open_bytes(path) as stream:
        offset = 0
        for number, raw in enumerate(stream, start=1):
            line = decode(raw, where=f"{path}:{number}", offset=offset)
            offset += len(raw)
            yield number, line.rstrip("\r\n")


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """Unpacked byte stream of `path`; failures while opening or reading become `CorpusError`."""
    try:
        with path.open("rb") as raw:
            yield _unpacked(raw, path.suffix.lower())
    except _BROKEN_ARCHIVE as error:
        raise CorpusError(f"{path} is truncated or damaged ({error}); copy or compress it again.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error}); check path and permissions.") from error


def _unpacked(raw: io.BufferedReader, suffix: str) -> io.BufferedIOBase:
    if suffix == ".xz":
        return lzma.LZMAFile(raw)
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    return raw


def decode(raw: bytes, *, where: str, offset: int = 0) -> str:
    """Strict UTF-8 text of `raw`, which starts at byte `offset` of the file; a byte order mark at the start is dropped.

    Raises:
        CorpusError: UTF-16, NUL bytes (binary) or an invalid byte, with its offset in the (unpacked) file.
    """
    if offset == 0 and raw.startswith(_UTF_16_MARKS):
        raise CorpusError(f"{where} is UTF-16, not UTF-8; convert it first (iconv -f utf-16 -t utf-8).")
    if (nul := raw.find(b"\x00")) >= 0:
        raise CorpusError(
            f"{where} is binary, not text (NUL byte at offset {offset + nul}); leave it out of the corpus."
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where} is not UTF-8 (byte 0x{raw[error.start]:02x} at offset {offset + error.start}); "
            "convert it first (iconv -t utf-8)."
        ) from error
    return text.removeprefix("\ufeff") if offset == 0 else text


def text_flaw(text: str) -> str | None:
    """Why `text` cannot be a document ("is empty", "holds a NUL character ..."), or None if it can."""
    if not text or text.isspace():
        return "is empty (no character but white space)"
    if (nul := text.find("\x00")) >= 0:
        return f"holds a NUL character at position {nul} (byte 0 marks the beginning of a sequence)"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X} at position {error.start}"
        return f"holds the lone surrogate {found}, which UTF-8 cannot express"
    return None
