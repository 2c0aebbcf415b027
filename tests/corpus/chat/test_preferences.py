import json

import pytest
from chat_tokenizers import CHATML, MARKED, chat_tokenizer, talk

from imprint.corpus import byte_tokenizer
from imprint.corpus.chat import PreferencePair, PreferenceRows, preference_rows, read_preferences, render_chat
from imprint.errors import ConfigError, CorpusError

GOOD = {"prompt": "Q", "chosen": "A", "rejected": "B"}
USER = [{"role": "user", "content": "Q"}]
BAD = [
    (b"{\n", "not valid JSON"),
    (b"[1]\n", "no JSON object"),
    (b'{"prompt": "Q", "chosen": "A"}\n', r"no 'rejected' \(keys seen: 'prompt', 'chosen'\)"),
    (b'{"prompt": "Q"}\n', "no 'chosen' and no 'rejected'"),
    (b'{"prompt": "Q", "chosen": "A", "rejected": "A"}\n', "are the same, so there is nothing to prefer"),
    (b'{"prompt": "Q", "chosen": " ", "rejected": "A"}\n', r"with its chosen answer: 'chosen' \(assistant\) is empty"),
    (b'{"prompt": "Q", "chosen": "A", "rejected": 3}\n', "'rejected' has no text"),
    (b'{"chosen": "A", "rejected": "B"}\n', "there is no prompt"),
    (b'{"prompt": [], "chosen": "A", "rejected": "B"}\n', "there is no prompt"),
    (b'{"prompt": "caf\xe9", "chosen": "A", "rejected": "B"}\n', "not UTF-8"),
    (b'{"id": "a:1", "prompt": "Q", "chosen": "A", "rejected": "B"}\n', r"repeats the id 'a:1' of a\.jsonl:1"),
]


def answer(text, prompt="Q"):
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]


def pair(prompt, chosen, rejected, name="p"):
    first, second = (talk(*prompt, last, name=name) for last in (chosen, rejected))
    return PreferencePair(chosen=first, rejected=second)


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_forms_that_mean_the_same(tmp_path):
    forms = (
        GOOD,
        {"prompt": USER, "chosen": "A", "rejected": "B"},
        {"prompt": USER, "chosen": answer("A")[1:], "rejected": answer("B")[1:]},
        {"chosen": answer("A"), "rejected": answer("B")},
        {"prompt": "Q", "chosen": answer("A"), "rejected": answer("B"), "score": 3},
    )
    reading = read_preferences(write(tmp_path / "a.jsonl", *forms), strict=True)
    assert len({(one.chosen.messages, one.rejected.messages) for one in reading.pairs}) == 1
    assert [one.id for one in reading.pairs] == [f"a:{line}" for line in range(1, 6)]
    assert [message.content for message in reading.pairs[0].chosen.messages] == ["Q", "A"]
    assert [message.content for message in reading.pairs[0].rejected.messages] == ["Q", "B"]
    assert (reading.pairs[4].domain, reading.pairs[4].source) == ("a", "a.jsonl:5")


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_line_is_listed_with_its_number_and_hides_no_other(tmp_path, bad, reason):
    path = tmp_path / "a.jsonl"
    good = json.dumps(GOOD).encode() + b"\n"
    path.write_bytes(good + b"\n" + bad + good)
    reading = read_preferences(path)
    assert [one.id for one in reading.pairs] == ["a:1", "a:4"]
    [problem] = reading.problems
    assert (problem.file, problem.line) == ("a.jsonl", 3)
    with pytest.raises(CorpusError, match=reason):
        read_preferences(path, strict=True)
    assert (reading.lines, reading.blank) == (4, 1)
    assert reading.summary().startswith("4 lines: 2 pairs, 1 malformed, 1 blank. a.jsonl:3: ")


def test_answers_to_different_prompts_are_no_pair(tmp_path):
    path = write(tmp_path / "a.jsonl", {"chosen": answer("A"), "rejected": answer("B", prompt="other")})
    with pytest.raises(CorpusError, match=r"holds no pair.*do not answer the same prompt"):
        read_preferences(path)


def test_the_domain_may_stand_in_the_line(tmp_path):
    path = write(tmp_path / "a.jsonl", GOOD | {"persona": "good"}, GOOD | {"persona": 3})
    reading = read_preferences(path, domain_key="persona")
    assert [one.domain for one in reading.pairs] == ["good"]
    assert "the domain under 'persona' is 3, not a word" in reading.problems[0].sentence


@pytest.mark.parametrize("template", [None, CHATML, MARKED])
def test_only_the_last_answer_is_learnt_and_all_of_it(template):
    tokenizer = byte_tokenizer() if template is None else chat_tokenizer(template)
    end = [tokenizer.eos_token_id if template is None else tokenizer.convert_tokens_to_ids("<|im_end|>")]
    one = pair(("Q", "earlier", "again"), "yes indeed", "no", name="x")
    rows = preference_rows([one, pair(("hi",), "a", "bb", name="y")], tokenizer, context=300)
    assert rows.ids == ("x", "y")
    for side, texts in ((rows.chosen, ("yes indeed", "a")), (rows.rejected, ("no", "bb"))):
        for row, text in enumerate(texts):
            learnt = side.tokens[row, 1:][side.label_mask[row]].tolist()
            assert learnt == [*text.encode(), *end]
    whole = render_chat(one.chosen, tokenizer)
    assert rows.chosen.tokens[0, : len(whole.tokens)].tolist() == whole.tokens.tolist()
    assert whole.loss.sum() > rows.chosen.label_mask[0].sum()
    assert rows.chosen.tokens.shape == rows.rejected.tokens.shape


def test_what_does_not_fit_is_named_and_rows_come_back(tmp_path):
    short, cut, late = (
        pair(("Q",), "yes", "no", name="a"),
        pair(("Q",), "yes", "n" * 60, name="b"),
        pair(("q" * 90,), "yes", "no", name="c"),
    )
    rows = preference_rows([late, short, cut], byte_tokenizer(), context=50)
    assert (rows.ids, rows.truncated, rows.without_answer, len(rows)) == (("a", "b"), ("b",), ("c",), 2)
    assert rows.rejected.tokens.shape == rows.chosen.tokens.shape == (2, 51)
    rows.save(tmp_path / "rows")
    again = PreferenceRows.load(tmp_path / "rows")
    assert again.ids == rows.ids
    assert again.truncated == ("b",)
    assert (again.rejected.tokens == rows.rejected.tokens).all()
    assert (again.chosen.label_mask == rows.chosen.label_mask).all()
    with pytest.raises(CorpusError, match="in none of 1 pairs does the prompt leave room for an answer within 50"):
        preference_rows([late], byte_tokenizer(), context=50)
    with pytest.raises(ConfigError, match="context=0"):
        preference_rows([short], byte_tokenizer(), context=0)
