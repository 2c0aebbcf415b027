import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.corpus import noise, novel_repeats
from imprint.corpus.augmentation import Factor, factorise, repetition
from imprint.corpus.augmentation.repetition import copied_share
from imprint.corpus.augmentation.tapes import fresh_runs


def test_a_tiled_segment_is_one_copy_of_its_period():
    assert factorise("abcdefgh" * 5) == (Factor(8, 8, 32),)
    assert factorise("a" * 30) == (Factor(1, 1, 29),)


def test_a_segment_that_comes_back():
    assert factorise("xabcdefghijyabcdefghijz") == (Factor(12, 11, 10), Factor(1, 0, 0))
    assert factorise("abcdefghij") == (Factor(10, 0, 0),)
    assert factorise("") == ()


def test_the_longest_recurrence_wins_and_of_equal_ones_the_nearest():
    text = "12345678LONG..12345678----12345678LONG"
    assert factorise(text)[-1] == Factor(4, 26, 12)
    assert factorise("12345678a12345678b12345678")[-1] == Factor(1, 9, 8)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab", max_size=200), st.integers(2, 9))
def test_the_factors_are_the_text(text, shortest):
    """Play the factors on their own fresh text: the text comes back, symbol by symbol."""
    factors = factorise(text, shortest=shortest)
    assert sum(factor.fresh + factor.length for factor in factors) == len(text)
    out, runs = [], iter(fresh_runs(text, factors))
    for factor in factors:
        out += list(next(runs)) if factor.fresh else []
        for _ in range(factor.length):
            out.append(out[-factor.distance])
    assert "".join(out) == text
    assert all(factor.length == 0 or factor.length >= shortest for factor in factors)


def test_statistics_of_known_texts():
    found = repetition(["abcdefgh" * 4, "qwertyuiop"])
    assert found.copied == pytest.approx(24 / 42)
    assert found.ngram_rate == pytest.approx(17 / 28)
    assert found.distances.tolist() == [8]
    assert found.lengths.tolist() == [24]
    assert found.quantiles(found.distances).tolist() == [8, 8, 8]


def test_nothing_repeats_in_noise():
    rng = np.random.default_rng(0)
    found = repetition([document.text for document in noise(50, 400, rng)])
    assert found.copied == 0
    assert found.quantiles(found.distances).tolist() == [0, 0, 0]
    assert repetition([]).ngram_rate == 0
    assert copied_share(novel_repeats(1, 400, rng)[0].text) > 0.4
