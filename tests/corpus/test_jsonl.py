import json
import lzma

import pytest

from imprint.corpus.jsonl import excerpt, read_records, string_field, text_field
from imprint.errors import CorpusError


def test_records_come_with_their_line_numbers_over_blank_lines(tmp_path):
    path = tmp_path / "a.jsonl.xz"
    path.write_bytes(lzma.compress(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": "x\\u2028y"}'))
    assert list(read_records(path)) == [(1, {"a": 1}), (4, {"a": "x\u2028y"})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"a": 1', "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ('{"a": 1} {"a": 2}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ("[1, 2]", "holds a list, not a JSON object"),
        ("null", "holds null"),
        ('"text"', "holds a string"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 0}\n' + line + "\n")
    with pytest.raises(CorpusError, match=reason) as caught:
        list(read_records(path))
    assert "a.jsonl:2 " in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_missing_key_shows_the_keys_seen():
    with pytest.raises(CorpusError, match=r"f:3 has no key 'text' \(keys seen: 'src', 'content'\)"):
        string_field({"src": 1, "content": 2}, "text", where="f:3")
    with pytest.raises(CorpusError, match="keys seen: none"):
        string_field({}, "text", where="f:3")


@pytest.mark.parametrize(("value", "kind"), [(None, "null"), (True, "a boolean"), (1.5, "a number"), ({}, "an object")])
def test_a_value_of_the_wrong_kind_is_named(value, kind):
    with pytest.raises(CorpusError, match=f"'text' is {kind}, not a string"):
        text_field({"text": value}, "text", where="f:1")


def test_a_lone_surrogate_from_an_escape_is_refused():
    record = json.loads('{"text": "a\\ud83d"}')
    with pytest.raises(CorpusError, match=r"f:1: the text under 'text' holds the lone surrogate U\+D83D at position 1"):
        text_field(record, "text", where="f:1")
    assert text_field(json.loads('{"text": "\\ud83d\\ude00"}'), "text", where="f:1") == "😀"


def test_an_excerpt_is_short_and_printable():
    assert excerpt("a" * 61) == "a" * 60 + "..."
    assert excerpt("a\ud800") == "a\\ud800"
