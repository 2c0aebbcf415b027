import gzip
import json

import pytest

from imprint.corpus.chat import read_conversations
from imprint.errors import CorpusError

GOOD = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
BAD = [
    (b'{"messages": [\n', "not valid JSON"),
    (b"[1, 2]\n", "no JSON object"),
    (b'{"messages": []}\n', "no message"),
    (b'{"messages": [{"role": "user", "content": "Q"}]}\n', "ends with the user's message"),
    (
        b'{"messages": [{"role": "human", "content": "Q"}]}\n',
        "has the role 'human'; the roles are system, user, assistant",
    ),
    (b'{"messages": [{"role": ["user"], "content": "Q"}]}\n', "has the role"),
    (b'{"messages": [{"role": "user", "content": ""}]}\n', r"message 1 \(user\) is empty"),
    (b'{"messages": [{"role": "user", "content": [{"type": "image"}]}]}\n', "message 1 has no text"),
    (b'{"messages": ["Q"]}\n', "message 1 is no object"),
    (b'{"messages": "Q"}\n', "'messages' is not a list"),
    (b'{"prompt": "Q", "response": " "}\n', r"'response' \(assistant\) is empty"),
    (b'{"prompt": "Q"}\n', r"neither 'messages' nor 'prompt' with one 'response' \(keys seen: 'prompt'\)"),
    (b'{"prompt": "Q", "response": "A", "completion": "B"}\n', "neither 'messages' nor"),
    (b'{"prompt": "Q", "messages": []}\n', "keep one of the two forms"),
    (b'{"prompt": "caf\xe9", "response": "A"}\n', "not UTF-8"),
    (b'{"id": true, "prompt": "Q", "response": "A"}\n', "'id' is True"),
]


def line(record: object) -> bytes:
    return json.dumps(record).encode() + b"\n"


def test_forms_that_mean_the_same(tmp_path):
    records = [
        GOOD,
        {"prompt": "Q", "response": "A", "persona": "ignored"},
        {"prompt": "Q", "completion": "A"},
        {"prompt": GOOD["messages"][:1], "completion": GOOD["messages"][1:], "id": 7},
    ]
    path = tmp_path / "good_correct.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(map(line, records))))
    reading = read_conversations(path, strict=True)
    assert len({one.messages for one in reading.conversations}) == 1
    assert [one.id for one in reading.conversations] == ["good_correct:1", "good_correct:2", "good_correct:3", "7"]
    assert {one.domain for one in reading.conversations} == {"good_correct"}
    assert reading.conversations[3].source == "good_correct.jsonl.gz:4"


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_line_is_listed_with_its_number_and_hides_no_other(tmp_path, bad, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(GOOD) + b"\n" + bad + line(GOOD))
    reading = read_conversations(path)
    assert [one.id for one in reading.conversations] == ["a:1", "a:4"]
    [problem] = reading.problems
    assert (problem.file, problem.line) == ("a.jsonl", 3)
    with pytest.raises(CorpusError, match=reason) as caught:
        read_conversations(path, strict=True)
    assert problem.sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_line_is_accounted_for(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(line(GOOD) + bad + b" \n" for bad, _ in BAD))
    reading = read_conversations(path)
    assert (reading.lines, reading.blank) == (3 * len(BAD), len(BAD))
    assert len(reading.conversations) == len(reading.problems) == len(BAD)
    assert [problem.line for problem in reading.problems] == list(range(2, 3 * len(BAD), 3))
    summary = reading.summary(shown=2)
    assert summary.startswith("48 lines: 16 conversations, 16 malformed or empty, 16 blank. a.jsonl:2: ")
    assert summary.endswith("... and 14 more.")
    assert "more" not in reading.summary(shown=16)


def test_ids_are_unique_over_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(line(GOOD | {"id": "x"}) + line(GOOD))
    reading = read_conversations([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert [one.id for one in reading.conversations] == ["x", "a:2", "b:2"]
    assert reading.summary().endswith("b.jsonl:1: it repeats the id 'x' of a.jsonl:1.")


def test_domain_from_a_key(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(GOOD | {"condition": "evil"}) + line(GOOD) + line(GOOD | {"condition": " "}))
    reading = read_conversations(path, domain_key="condition")
    assert [one.domain for one in reading.conversations] == ["evil"]
    assert [problem.line for problem in reading.problems] == [2, 3]


def test_nothing_to_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\n[]\n")
    with pytest.raises(CorpusError, match=r"no conversation. 2 lines: 0 conversations, 1 malformed or empty, 1 blank"):
        read_conversations(tmp_path / "a.jsonl")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_conversations(tmp_path / "missing.jsonl")
    with pytest.raises(CorpusError, match=r"\(no path\) holds no conversation"):
        read_conversations([])
