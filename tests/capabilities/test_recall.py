import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, PreTrainedModel

from imprint.capabilities import fact_questions, passage_questions, recall
from imprint.corpus import Corpus, Document, byte_tokenizer, pack
from imprint.errors import ConfigError, ContextTooLong

CONTEXT = 16


def packed(domains=2, each=6):
    rng = np.random.default_rng(0)
    documents = [
        Document(id=f"{domain}/{number}", text="".join(map(chr, rng.integers(97, 123, CONTEXT))), domain=f"d{domain}")
        for domain in range(domains)
        for number in range(each)
    ]
    return pack(Corpus(documents=tuple(documents)), byte_tokenizer(), context=CONTEXT)


class Memory(PreTrainedModel):
    """Knows some rows by heart: after a known beginning it gives the next token all the probability."""

    def __init__(self, rows, sharp):
        super().__init__(GPT2Config())
        self.rows, self.sharp = [tuple(row) for row in rows.tolist()], sharp
        self.weight = torch.nn.Parameter(torch.zeros(1))  # a model's device is that of its parameters

    def forward(self, tokens, use_cache=False):
        logits = torch.zeros(*tokens.shape, 256)
        for row, sequence in enumerate(tokens.tolist()):
            known = next(
                (one for one in self.rows if one[: CONTEXT // 2 + 1] == tuple(sequence[: CONTEXT // 2 + 1])), None
            )
            if known is not None:
                for place in range(CONTEXT):
                    logits[row, place, known[place + 1]] = self.sharp
        return SimpleNamespace(logits=logits)


def test_who_knows_every_passage_recalls_it_and_who_knows_none_does_not():
    rows = packed()
    asked = passage_questions(rows, questions=100, seed=0)
    assert len(asked.starts) == len(rows)
    assert asked.chance == 0.25
    assert recall(Memory(rows.tokens, 9.0), asked).all()
    assert not recall(Memory(rows.tokens, -9.0), asked).any()  # mutation: known continuations made unlikely
    assert not recall(Memory(rows.tokens[:0], 9.0), asked).any()  # all choices tie, and a tie is wrong
    some = recall(Memory(rows.tokens[:3], 9.0), asked)
    assert some.sum() == 3


def test_wrong_continuations_are_of_the_same_domain_and_the_beginning_is_shared():
    rows = packed()
    asked = passage_questions(rows, questions=100, seed=0)
    half = CONTEXT // 2 + 1
    assert (asked.tokens[:, :, :half] == asked.tokens[:, :1, :half]).all()
    ends = {tuple(row[half:]): domain for row, domain in zip(rows.tokens.tolist(), rows.row_domains, strict=True)}
    for question in asked.tokens.tolist():
        found = [tuple(choice[half:]) for choice in question]
        assert len(set(found)) == 4
        assert len({ends[one] for one in found}) == 1


def test_questions_belong_to_the_seed_and_leave_domains_out():
    rows = packed()
    assert np.array_equal(
        passage_questions(rows, questions=4, seed=1).tokens, passage_questions(rows, questions=4, seed=1).tokens
    )
    only = passage_questions(rows, questions=100, seed=0, without_domains=("d0",))
    assert len(only.starts) == 6
    with pytest.raises(ConfigError, match="no domain has 4 passages"):
        passage_questions(rows, questions=4, seed=0, without_domains=("d0", "d1"))


def test_facts_are_read_and_scored_by_the_token(tmp_path):
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps({"prompt": "abcdefgh", "answer": "ijklmnop", "wrong": ["zz", "yyy"]}) + "\n")
    asked = fact_questions(path, byte_tokenizer(), context=CONTEXT)
    assert asked.starts.tolist() == [8]
    assert asked.ends.tolist() == [[16, 10, 11]]
    row = np.array([[0, *b"abcdefghijklmnop"]])
    assert recall(Memory(row, 9.0), asked).all()
    assert not recall(Memory(row, -9.0), asked).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 questions"),
        ('{"prompt": "a", "answer": "b", "wrong": []}', "line 1 is not a question"),
        ("nonsense", "line 1 is not a question"),
        (
            '{"prompt": "a", "answer": "b", "wrong": ["c"]}\n{"prompt": "a", "answer": "b", "wrong": ["c", "d"]}',
            "as many wrong",
        ),
    ],
)
def test_questions_that_are_none_are_refused(tmp_path, text, message):
    path = tmp_path / "facts.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        fact_questions(path, byte_tokenizer(), context=CONTEXT)
    with pytest.raises(ConfigError, match="cannot be read"):
        fact_questions(tmp_path / "absent", byte_tokenizer(), context=CONTEXT)


def test_a_fact_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps({"prompt": "a" * 20, "answer": "b", "wrong": ["c"]}))
    with pytest.raises(ContextTooLong, match="question 1 has 21 tokens"):
        fact_questions(path, byte_tokenizer(), context=CONTEXT)
