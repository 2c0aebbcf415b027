import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint.corpus.decoding import decode, read_lines, read_text, text_flaw
from imprint.errors import CorpusError


def write(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def test_text_keeps_every_character_and_line_end(tmp_path):
    text = "one\r\ntwo\rthree\u2028four\x0bfive é😀\n"
    assert read_text(write(tmp_path, "a.txt", text.encode())) == text


def test_byte_order_mark_is_dropped_once_and_only_at_the_start(tmp_path):
    mark = "\ufeff"
    assert read_text(write(tmp_path, "a.txt", (mark + "a" + mark).encode())) == "a" + mark
    assert [line for _, line in read_lines(write(tmp_path, "b.txt", (mark + "a\n" + mark + "b").encode()))] == [
        "a",
        mark + "b",
    ]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress), ("GZ", gzip.compress)])
def test_packed_files_read_as_their_content(tmp_path, suffix, pack):
    assert read_text(write(tmp_path, f"a.txt.{suffix}", pack("é\n".encode()))) == "é\n"


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_truncated_and_damaged_archives_are_named(tmp_path, suffix, pack):
    raw = pack(bytes(range(1, 120)) * 200)
    with pytest.raises(CorpusError, match=rf"short\.{suffix} is truncated or damaged"):
        read_text(write(tmp_path, f"short.{suffix}", raw[:-20]))
    with pytest.raises(CorpusError, match="truncated or damaged"):
        read_text(write(tmp_path, f"not.{suffix}", b"plain text, not an archive"))


def test_offset_of_the_first_bad_byte_counts_the_whole_file(tmp_path):
    path = write(tmp_path, "latin.txt", "é".encode() + b"ok\ncaf\xe9\n")
    with pytest.raises(CorpusError, match=r"not UTF-8 \(byte 0xe9 at offset 8\)"):
        read_text(path)
    with pytest.raises(CorpusError, match=r"latin\.txt:2 is not UTF-8 \(byte 0xe9 at offset 8\)"):
        list(read_lines(path))


def test_encoded_surrogates_are_not_utf_8(tmp_path):
    with pytest.raises(CorpusError, match="byte 0xed at offset 1"):
        read_text(write(tmp_path, "a.txt", b"a\xed\xa0\x80"))


def test_binary_and_utf_16_are_told_apart(tmp_path):
    with pytest.raises(CorpusError, match=r"binary, not text \(NUL byte at offset 3\)"):
        read_text(write(tmp_path, "a.bin", b"abc\x00\xff"))
    with pytest.raises(CorpusError, match="is UTF-16"):
        read_text(write(tmp_path, "a.txt", "abc".encode("utf-16")))


def test_lines_split_at_line_feed_only_and_may_be_huge(tmp_path):
    huge = "x" * 3_000_000
    path = write(tmp_path, "a.txt", f"a\u2028b\x0cc\x85\r\n\n{huge}".encode())
    assert list(read_lines(path)) == [(1, "a\u2028b\x0cc\x85"), (2, ""), (3, huge)]


def test_missing_folder_and_unreadable_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(CorpusError, match="cannot be read"):
        read_text(tmp_path / "missing.txt")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_text(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, "a.txt", b"a")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"a\.txt cannot be read \(Permission denied\)"):
        read_text(path)


@given(st.text())
def test_decode_inverts_encode_unless_nul_or_mark(text):
    raw = text.encode("utf-8", "surrogatepass")
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        with pytest.raises(CorpusError):
            decode(raw, where="here")
    else:
        assert decode(raw, where="here", offset=1) == text


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("", "empty"),
        (" \n\t\u3000", "empty"),
        ("a\x00", "NUL character at position 1"),
        ("ab\ud800", "U+D800 at position 2"),
    ],
)
def test_flaws_of_a_text(text, flaw):
    assert flaw in (text_flaw(text) or "")


def test_sound_text_has_no_flaw():
    assert text_flaw(" é😀\x0c") is None
