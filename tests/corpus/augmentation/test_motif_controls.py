from collections import Counter

import numpy as np
import pytest
from motif_schemas import LOG, schema

from imprint.corpus import Document, repeated_ngram_rate
from imprint.corpus.augmentation import (
    factorise,
    renamed,
    renamed_rows,
    repetition,
    shuffled,
    shuffled_rows,
    synthetic_documents,
    transplanted,
)
from imprint.corpus.structure import LEXEME
from imprint.errors import ConfigError

ORIGINALS = synthetic_documents(schema(LOG), 20, 0)
RNG = np.random.default_rng(0)
VOCABULARY = ["".join(RNG.choice(list("bcdfgkmnprtvz"), size)) for size in RNG.integers(1, 14, 3000)]
SOURCES = [Document(id=f"s{n}", text=" ".join(RNG.choice(VOCABULARY, 120)), domain="other source") for n in range(8)]


def tokens(document):
    return LEXEME.findall(document.text)


def pattern(sequence):
    """The sequence up to renaming: each token as the place where it first occurred."""
    first = {}
    return [first.setdefault(token, place) for place, token in enumerate(sequence)]


def is_word(token):
    return token[0].isalnum() or token[0] == "_"


def test_renamed_keeps_the_pattern_of_equal_tokens_and_no_word():
    made = renamed(ORIGINALS, VOCABULARY, 0)
    for old, new in zip(ORIGINALS, made, strict=True):
        before = [token for token in tokens(old) if len(token) != 36 and ":" not in token]
        assert not {token for token in before if is_word(token)} & set(tokens(new))
        assert Counter(t for t in tokens(old) if not is_word(t)) == Counter(t for t in tokens(new) if not is_word(t))
    simple = Document(id="a", text="The cat, the cat; one cat", domain="d")
    (new,) = renamed([simple], VOCABULARY, 0)
    assert pattern(tokens(new)) == pattern(tokens(simple))
    assert [len(token) for token in tokens(new)] == [len(token) for token in tokens(simple)]


def test_renamed_keeps_token_ngram_repetition_exactly():
    words = [Document(id=str(n), text=f"{n}a b c d " * 9 + "x y z", domain="d") for n in range(5)]
    rows = [np.array([pattern(tokens(one)) for one in some]) for some in (words, renamed(words, VOCABULARY, 3))]
    lengths = np.full(5, rows[0].shape[1])
    for n in (1, 2, 3, 5):
        assert np.array_equal(repeated_ngram_rate(rows[0], lengths, n), repeated_ngram_rate(rows[1], lengths, n))


def test_renamed_stays_one_to_one_where_no_word_has_the_length():
    longer = [f"{number:012d}" for number in range(30)]
    text = " ".join(f"w{number} v" for number in range(20))
    (new,) = renamed([Document(id="a", text=text, domain="d")], longer, 0)
    assert pattern(tokens(new)) == pattern(LEXEME.findall(text))


def test_renamed_draws_anew_for_each_document():
    twins = [Document(id=name, text="alpha beta alpha", domain="d") for name in "ab"]
    first, second = renamed(twins, VOCABULARY, 0)
    assert first.text != second.text
    assert renamed(twins, VOCABULARY, 0)[0].text == first.text
    assert renamed(twins, VOCABULARY, 1)[0].text != first.text


def test_transplanted_keeps_length_and_every_copy():
    made = transplanted(ORIGINALS, SOURCES, 0)
    for old, new in zip(ORIGINALS, made, strict=True):
        assert len(new.text) == len(old.text)
        place = 0
        for factor in factorise(old.text):
            place += factor.fresh
            for _ in range(factor.length):
                assert new.text[place] == new.text[place - factor.distance]
                place += 1
    before, after = (repetition([one.text for one in some]) for some in (ORIGINALS, made))
    assert after.copied == pytest.approx(before.copied, abs=0.1)
    assert after.ngram_rate == pytest.approx(before.ngram_rate, abs=0.1)


def test_transplanted_says_what_the_source_says():
    before, after = (
        {w for one in some for w in tokens(one)} for some in (ORIGINALS, transplanted(ORIGINALS, SOURCES, 0))
    )
    assert "sshd" in before
    assert not {"sshd", "session", "opened"} & after


def test_shuffled_keeps_tokens_and_breaks_structure():
    made = shuffled(ORIGINALS, 0)
    for old, new in zip(ORIGINALS, made, strict=True):
        assert Counter(tokens(old)) == Counter(tokens(new))
        assert [token.isspace() for token in tokens(old)] == [token.isspace() for token in tokens(new)]
        assert tokens(old) != tokens(new)
    codes = [np.array([hash(t) % 2**31 for t in tokens(one)])[None] for one in (*ORIGINALS, *made)]
    rates = [repeated_ngram_rate(row, np.array([row.shape[1]]), 5)[0] for row in codes]
    assert np.mean(rates[:20]) > 0.2
    assert np.mean(rates[20:]) < 0.25 * np.mean(rates[:20])


def test_controls_carry_their_name():
    for name, made in (
        ("renamed", renamed(ORIGINALS, VOCABULARY, 0)),
        ("transplanted", transplanted(ORIGINALS, SOURCES, 0)),
        ("shuffled", shuffled(ORIGINALS, 0)),
    ):
        assert made[0].id == f"{name}/{ORIGINALS[0].id}"
        assert made[0].domain == f"{name}/{ORIGINALS[0].domain}"


ROWS = RNG.integers(1, 40, size=(12, 30))
LENGTHS = np.array([30, 20, 10, 5] * 3)


def test_renamed_rows_keep_the_pattern_and_the_other_ids():
    rows = ROWS.copy()
    rows[:, 0] = 0
    made = renamed_rows(rows, LENGTHS, 0, ids=range(1, 40))
    assert (made[:, 0] == 0).all()
    for old, new, length in zip(rows, made, LENGTHS, strict=True):
        assert pattern(old[:length].tolist()) == pattern(new[:length].tolist())
        assert np.array_equal(old[length:], new[length:])
    assert not np.array_equal(made, rows)
    twins = renamed_rows(np.tile(rows[:1], (2, 1)), np.array([30, 30]), 0, ids=range(1, 40))
    assert not np.array_equal(twins[0], twins[1]), "boilerplate becomes novel"


def test_shuffled_rows_keep_unigrams_and_boundaries():
    made = shuffled_rows(ROWS, LENGTHS, 0, keep_first=1)
    assert np.array_equal(made[:, 0], ROWS[:, 0])
    for old, new, length in zip(ROWS, made, LENGTHS, strict=True):
        assert sorted(old[:length]) == sorted(new[:length])
        assert np.array_equal(old[length:], new[length:])
    tiled = np.tile(np.arange(8), (20, 4))
    full = np.full(20, 32)
    assert repeated_ngram_rate(tiled, full, 3).min() > 0.7
    assert repeated_ngram_rate(shuffled_rows(tiled, full, 0), full, 3).mean() < 0.1


def test_controls_that_cannot_be_made():
    with pytest.raises(ConfigError, match="distinct words and the vocabulary 2"):
        renamed(ORIGINALS, ["a", "b"], 0)
    with pytest.raises(ConfigError, match="at least one"):
        transplanted(ORIGINALS, [], 0)


def test_no_transplanted_document_is_blank():
    """Three fresh characters around long copies, and donors that begin with white space."""
    own = [Document(id=str(number), text="abc" * 20, domain="d") for number in range(40)]
    donors = [Document(id=str(number), text=f"      {number} text", domain="d") for number in range(9)]
    for one in transplanted(own, donors, seed=0):
        assert one.text.strip()
        assert len(one.text) == 60
        assert one.text == (one.text[:3] * 20)
