import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imprint.corpus import compression_ratio, novel_repetition_rate, repeated_ngram_rate, unigram_entropy
from imprint.errors import ConfigError

tables = arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.integers(0, 3))


def grams(row: np.ndarray, length: int, n: int) -> list[tuple[int, ...]]:
    return [tuple(row[i : i + n].tolist()) for i in range(length - n + 1)]


@given(tables, st.integers(1, 4), st.data())
def test_rates_agree_with_sets(tokens, n, data):
    lengths = np.array([data.draw(st.integers(0, tokens.shape[1])) for _ in tokens])
    found = [grams(row, length, n) for row, length in zip(tokens, lengths, strict=True)]
    repeated = [1 - len(set(own)) / len(own) if own else 0.0 for own in found]
    assert repeated_ngram_rate(tokens, lengths, n) == pytest.approx(repeated)
    novel = []
    for index, own in enumerate(found):
        others = {gram for other, row in enumerate(found) if other != index for gram in row}
        again = [gram for place, gram in enumerate(own) if gram in own[:place] and gram not in others]
        novel.append(len(again) / len(own) if own else 0.0)
    assert novel_repetition_rate(tokens, lengths, n) == pytest.approx(novel)


@given(tables, st.data())
def test_entropy_agrees_with_its_definition(tokens, data):
    lengths = np.array([data.draw(st.integers(0, tokens.shape[1])) for _ in tokens])
    expected = []
    for row, length in zip(tokens, lengths, strict=True):
        shares = np.unique(row[:length], return_counts=True)[1] / max(length, 1)
        expected.append(-sum(share * math.log2(share) for share in shares))
    assert unigram_entropy(tokens, lengths) == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    tokens, lengths = np.array([[1, 2, 1, 2, 1, 9], [1, 2, 3, 4, 5, 6]]), np.array([5, 6])
    assert repeated_ngram_rate(tokens, lengths, 2).tolist() == [0.5, 0.0]
    assert novel_repetition_rate(tokens, lengths, 2).tolist() == [0.25, 0.0]  # (1, 2) is also in the second row
    assert unigram_entropy(tokens, lengths) == pytest.approx(
        [0.6 * math.log2(5 / 3) + 0.4 * math.log2(5 / 2), math.log2(6)]
    )


def test_padding_does_not_count():
    rng = np.random.default_rng(0)
    tokens, lengths = rng.integers(0, 5, (20, 30)), rng.integers(0, 31, 20)
    noisy = np.where(np.arange(30) < lengths[:, None], tokens, rng.integers(0, 5, (20, 30)))
    for statistic in (lambda t: repeated_ngram_rate(t, lengths, 3), lambda t: unigram_entropy(t, lengths)):
        assert (statistic(tokens) == statistic(noisy)).all()


def test_large_vocabularies_do_not_collide():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 2**31, (50, 40))
    tokens[:, 20:] = tokens[:, :20]
    lengths = np.full(50, 40)
    for n in (2, 3, 5):  # 2 ** 31 to the 5th power is far beyond 64 bits
        expected = (20 - n + 1) / (40 - n + 1)
        assert repeated_ngram_rate(tokens, lengths, n) == pytest.approx(expected)
        assert novel_repetition_rate(tokens, lengths, n) == pytest.approx(expected)


def test_renaming_tokens_and_permuting_rows_change_nothing():
    rng = np.random.default_rng(0)
    tokens, lengths, order = rng.integers(0, 9, (30, 25)), rng.integers(5, 26, 30), rng.permutation(30)
    renamed = rng.permutation(1000)[:9][tokens]
    for statistic in (repeated_ngram_rate, novel_repetition_rate):
        base = statistic(tokens, lengths, 2)
        assert (statistic(renamed, lengths, 2) == base).all()
        assert (statistic(tokens[order], lengths[order], 2) == base[order]).all()


def test_rows_shorter_than_the_ngram_and_no_rows():
    assert repeated_ngram_rate(np.zeros((2, 3), dtype=np.int64), np.array([3, 1]), 4).tolist() == [0, 0]
    assert novel_repetition_rate(np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int64), 2).tolist() == []


def test_arguments_out_of_range():
    tokens, lengths = np.array([[1, -1]]), np.array([2])
    with pytest.raises(ConfigError, match="at least one token, not 0"):
        repeated_ngram_rate(abs(tokens), lengths, 0)
    with pytest.raises(ConfigError, match="0 or more, not -1"):
        repeated_ngram_rate(tokens, lengths, 1)


def test_repetition_compresses_and_noise_does_not():
    rng = np.random.default_rng(0)
    noise = "".join(map(chr, rng.integers(32, 127, 2000)))
    repeated, random, empty = compression_ratio(["abcdefg" * 300, noise, ""])
    assert repeated < 0.03
    assert 0.8 < random < 0.95  # 95 symbols need log2(95) / 8 = .82 of a byte
    assert empty > 0
