import json
import lzma
import os
from pathlib import Path

import pytest

from imprint.corpus import Corpus, read_corpus
from imprint.errors import CorpusError


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def shape(corpus: Corpus) -> list[tuple[str, str, str]]:
    return [(document.id, document.domain, document.text) for document in corpus]


def test_jsonl_takes_stem_as_domain_and_line_as_id(tmp_path):
    path = tmp_path / "two words.jsonl.xz"
    path.write_bytes(lzma.compress(lines({"src": "s", "text": "A"}, {"text": "B"}).encode()))
    found = read_corpus(path)
    assert shape(found) == [("two words:1", "two words", "A"), ("two words:2", "two words", "B")]
    assert [document.source for document in found] == ["s", "two words.jsonl.xz:2"]
    assert read_corpus(str(path)) == read_corpus([path]) == found


def test_keys_can_be_named_and_ids_given(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        lines({"id": 7, "body": "A", "kind": "novel repeats"}, {"id": "x", "body": "B", "kind": "k"}),
    )
    assert shape(read_corpus(path, text_key="body", domain_key="kind")) == [
        ("7", "novel repeats", "A"),
        ("x", "k", "B"),
    ]


def test_folder_gives_domains_by_subfolder_in_name_order(tmp_path):
    root = tmp_path / "root"
    write(root / "b b" / "deep" / "2.txt", "two")
    write(root / "b b" / "part.jsonl", lines({"text": "three"}))
    write(root / "a" / "1.md", "one")
    write(root / "top.txt", "top")
    write(root / "logs.jsonl", lines({"text": "log"}))
    write(root / ".hidden" / "x.txt", b"\x00")
    write(root / ".DS_Store", b"\x00")
    assert shape(read_corpus(root)) == [
        ("a/1.md", "a", "one"),
        ("b b/deep/2.txt", "b b", "two"),
        ("b b/part:1", "b b", "three"),
        ("logs:1", "logs", "log"),
        ("top.txt", "root", "top"),
    ]


def test_notes_beside_jsonl_are_not_documents_but_other_text_is(tmp_path):
    for name in ("README.md", "LICENSE", "PROVENANCE.md", "other.md"):
        write(tmp_path / "r" / name, name)
    assert len(read_corpus(tmp_path / "r")) == 4
    write(tmp_path / "r" / "a.jsonl", lines({"text": "A"}))
    write(tmp_path / "r" / "readme.jsonl", lines({"text": "B"}))
    assert [document.id for document in read_corpus(tmp_path / "r")] == ["a:1", "other.md", "readme:1"]


def test_digest_ignores_listing_order_times_and_place(tmp_path, monkeypatch):
    names = ["b", "a", "ä", "Z", "c d"]
    for name in names:
        write(tmp_path / "one" / name / "f.txt", f"text {name}")
    for name in reversed(names):
        path = write(tmp_path / "elsewhere" / "one" / name / "f.txt", f"text {name}")
        os.utime(path, (1, 1))
    first = read_corpus(tmp_path / "one").digest
    assert read_corpus(tmp_path / "elsewhere" / "one").digest == first
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed(folder)[::-1])
    assert read_corpus(tmp_path / "one").digest == first
    write(tmp_path / "one" / "a" / "f.txt", "text A")
    assert read_corpus(tmp_path / "one").digest != first


def test_two_roots_with_equal_names_inside_keep_apart(tmp_path):
    write(tmp_path / "a" / "x.txt", "1")
    write(tmp_path / "b" / "x.txt", "2")
    assert shape(read_corpus([tmp_path / "a", tmp_path / "b"])) == [("a/x.txt", "a", "1"), ("b/x.txt", "b", "2")]


def test_line_ends_and_marks(tmp_path):
    write(tmp_path / "r" / "a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n")
    write(tmp_path / "r" / "b.jsonl", b'\xef\xbb\xbf{"text": "x\\r\\ny"}\r\n\r\n')
    assert [document.text for document in read_corpus(tmp_path / "r")] == ["one\r\ntwo\r\n", "x\r\ny"]


def test_links_are_followed_but_loops_add_nothing(tmp_path):
    write(tmp_path / "store" / "x.txt", "linked")
    write(tmp_path / "r" / "d" / "own.txt", "own")
    (tmp_path / "r" / "d" / "up").symlink_to(tmp_path / "r")
    (tmp_path / "r" / "d" / "self").symlink_to(tmp_path / "r" / "d")
    (tmp_path / "r" / "wiki").symlink_to(tmp_path / "store")
    (tmp_path / "r" / "y.txt").symlink_to(tmp_path / "store" / "x.txt")
    assert shape(read_corpus(tmp_path / "r")) == [
        ("d/own.txt", "d", "own"),
        ("wiki/x.txt", "wiki", "linked"),
        ("y.txt", "r", "linked"),
    ]


@pytest.mark.parametrize("target", ["missing", "loop.txt"])
def test_links_that_lead_nowhere_are_named(tmp_path, target):
    write(tmp_path / "a.txt", "a")
    (tmp_path / "loop.txt").symlink_to(tmp_path / target)
    with pytest.raises(CorpusError, match=r"loop\.txt cannot be reached \(broken link"):
        read_corpus(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="special file"):
        read_corpus(tmp_path)
    with pytest.raises(CorpusError, match="no file or folder"):
        read_corpus(tmp_path / "pipe")


def test_file_names_that_are_not_utf_8_are_escaped(tmp_path):
    folder = os.fsencode(tmp_path / "r")
    os.mkdir(folder)
    with open(folder + b"/caf\xe9.txt", "wb") as stream:
        stream.write(b"text")
    found = read_corpus(tmp_path / "r")
    assert found.ids == ("caf\\udce9.txt",)
    found.save(tmp_path / "c.jsonl")
    assert Corpus.load(tmp_path / "c.jsonl") == found


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"a\.jsonl:2 is not valid JSON"),
        ("a.jsonl", '{"txt": "x"}\n', r"a\.jsonl:1 has no key 'text' \(keys seen: 'txt'\)"),
        ("a.jsonl", '{"text": ""}\n', r"a\.jsonl:1: the text under 'text' is empty"),
        ("a.jsonl", '{"text": "a\\u0000"}\n', r"a\.jsonl:1: the text under 'text' holds a NUL"),
        ("a.jsonl", '{"text": "\\udc00"}\n', r"a\.jsonl:1: the text under 'text' holds the lone surrogate"),
        ("a.jsonl", '{"text": "a", "id": true}\n', r"a\.jsonl:1: 'id' is True, neither"),
        ("a.jsonl", '{"text": "a", "id": ""}\n', r"a\.jsonl:1: the value under 'id' is empty"),
        (
            "a.jsonl",
            '{"text": "a", "id": 1}\n{"text": "b", "id": "1"}\n',
            r"a\.jsonl:2 repeats the document id '1' of .*a\.jsonl:1",
        ),
        ("a.jsonl", "\n \n", "is empty: no document was found"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', r"a\.jsonl:1 is not UTF-8 \(byte 0xe9 at offset 13\)"),
        ("a.txt", "", r"a\.txt is empty"),
        ("a.txt", b"\xff\x00", r"a\.txt is binary"),
        ("a.txt", b"ok \xff", r"a\.txt is not UTF-8 \(byte 0xff at offset 3\)"),
        ("a.jsonl.xz", b"\xfd7zXZ\x00", r"a\.jsonl\.xz is truncated or damaged"),
        ("a.jsonl.gz", b"not gzip", r"a\.jsonl\.gz is truncated or damaged"),
    ],
)
def test_bad_input_is_one_clear_sentence(tmp_path, name, content, message):
    path = write(tmp_path / "r" / name, content)
    for place in (path, path.parent):
        with pytest.raises(CorpusError, match=message) as caught:
            read_corpus(place)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_duplicate_ids_across_files_name_both_places(tmp_path):
    write(tmp_path / "a.jsonl", lines({"id": 1, "text": "A"}))
    write(tmp_path / "b.jsonl", lines({"id": 1, "text": "B"}))
    with pytest.raises(CorpusError, match=r"b\.jsonl:1 repeats the document id '1' of .*a\.jsonl:1"):
        read_corpus(tmp_path)


def test_domain_key_must_be_there_and_text(tmp_path):
    path = write(tmp_path / "a.jsonl", lines({"text": "A", "kind": " "}))
    with pytest.raises(CorpusError, match=r"a\.jsonl:1: the value under 'kind' is empty"):
        read_corpus(path, domain_key="kind")
    with pytest.raises(CorpusError, match=r"a\.jsonl:1 has no key 'topic' \(keys seen: 'text', 'kind'\)"):
        read_corpus(path, domain_key="topic")


def test_nothing_to_read(tmp_path):
    with pytest.raises(CorpusError, match="no file or folder"):
        read_corpus(tmp_path / "missing")
    with pytest.raises(CorpusError, match="is empty"):
        read_corpus(tmp_path)
    with pytest.raises(CorpusError, match=r"\(no path\) is empty"):
        read_corpus([])


def test_an_unlistable_folder_is_named(tmp_path, monkeypatch):
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(CorpusError, match=r"cannot be listed \(Permission denied\)"):
        read_corpus(tmp_path)


@pytest.mark.real
@pytest.mark.skipif("IMPRINT_DATA" not in os.environ, reason="IMPRINT_DATA is not set")
def test_real_corpus_reads_whole_with_its_labelled_domains():
    found = read_corpus(Path(os.environ["IMPRINT_DATA"]) / "corpus")
    assert len(found.domains) == 15
    assert len(found) == 17_576
    sizes = {domain: len(part) for domain, part in found.by_domain().items()}
    assert (sizes["prose_gutenberg"], sizes["dialogue_sgd"], sizes["reviews_movie"]) == (644, 8242, 2000)
