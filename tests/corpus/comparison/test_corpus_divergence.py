import math

import numpy as np
import pytest
from compared_corpora import corpora, noise, words
from hypothesis import given
from hypothesis import strategies as st

from imprint.corpus.comparison import corpus_divergences, divergence, divergence_from_rest
from imprint.errors import ConfigError, CorpusError

counts = st.lists(st.integers(0, 50), min_size=6, max_size=6).filter(any).map(np.array)


def test_by_hand_in_bits():
    found = divergence(np.array([3, 1]), np.array([1, 3]), smoothing=0.0)
    assert found.kl_forward == pytest.approx(0.5 * math.log2(3))
    assert found.js == pytest.approx(1 + 0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    smoothed = divergence(np.array([3, 1]), np.array([1, 3]), smoothing=1.0)
    assert smoothed.kl_forward == pytest.approx(1 / 3)  # (2/3, 1/3) against (1/3, 2/3)


def test_kl_has_a_direction():
    found = divergence(np.array([8, 0]), np.array([4, 4]), smoothing=0.0)
    assert (found.kl_forward, found.kl_backward) == (1.0, None)  # the other way it is infinite


def test_identical_is_zero_and_disjoint_is_one_bit():
    """AT-SURF-1."""
    same = divergence(np.array([5, 0, 2]), np.array([5, 0, 2]), smoothing=0.5)
    assert (same.kl_forward, same.kl_backward, same.js) == (0, 0, 0)
    apart = divergence(np.array([5, 3, 0, 0]), np.array([0, 0, 7, 1]), smoothing=0.0)
    assert (apart.kl_forward, apart.kl_backward, apart.js) == (None, None, 1.0)
    assert divergence(np.array([5, 3, 0, 0]), np.array([0, 0, 7, 1]), smoothing=0.5).js == 1.0


@given(counts, counts, st.floats(0.01, 5), st.permutations(range(6)))
def test_properties(first, second, smoothing, order):
    found = divergence(first, second, smoothing=smoothing)
    back = divergence(second[list(order)], first[list(order)], smoothing=smoothing)
    assert (back.kl_backward, back.kl_forward) == pytest.approx((found.kl_forward, found.kl_backward), abs=1e-12)
    assert back.js == pytest.approx(found.js, abs=1e-12)
    assert 0 <= found.js + 1e-12 <= 1 + 1e-9
    assert min(found.kl_forward, found.kl_backward) >= -1e-12
    heavier = divergence(first, second, smoothing=smoothing * 1e6)
    assert max(heavier.kl_forward, heavier.kl_backward) < 0.01


def test_identical_corpora():
    """AT-SURF-1: exactly 0, and no evidence of a difference."""
    texts = noise(0, 20)
    [pair] = corpus_divergences(corpora(a=texts, b=texts), seed=0, draws=40)
    for found in (pair.kl_forward, pair.kl_backward, pair.js):
        assert (found.plug_in, found.p_value) == (0, 1)
        assert found.null_mean > 0
    assert all(one.js == 0 for one in pair.sensitivity)


def test_disjoint_corpora():
    texts = {"a": noise(0, 20), "b": [text.replace("w", "v") for text in noise(1, 20)]}
    [pair] = corpus_divergences(corpora(**texts), seed=0, draws=40)
    assert pair.js.plug_in == 1
    assert pair.js.p_value == pytest.approx(1 / 41)
    assert pair.js.excess.excludes_zero
    assert pair.kl_forward.excess.excludes_zero
    forward = [one.kl_forward for one in pair.sensitivity]
    assert forward == sorted(forward, reverse=True)
    assert forward[0] > 2 * forward[-1]


def test_the_bias_of_the_plug_in_is_that_of_its_null():
    """Two samples of one source: JS = (V - 1) (1 / N + 1 / M) / (8 ln 2) bits on average, which is no difference."""
    found = [
        corpus_divergences(corpora(a=noise(2 * s, 100, vocabulary=20), b=noise(2 * s + 1, 100, vocabulary=20)), seed=s)
        for s in range(10)
    ]
    expected = 19 * (2 / 2000) / (8 * math.log(2))
    estimates = [pair.js for [pair] in found]
    assert np.mean([one.plug_in for one in estimates]) == pytest.approx(expected, rel=0.25)
    assert np.mean([one.null_mean for one in estimates]) == pytest.approx(expected, rel=0.1)
    assert min(one.plug_in for one in estimates) > 0
    assert sum(one.p_value <= 0.05 for one in estimates) <= 2
    assert np.mean([one.excess.low <= 0 <= one.excess.high for one in estimates]) >= 0.8


def test_shuffling_words_within_documents_shows_in_bigrams_only():
    ordered = [" ".join(sorted(text.split())) for text in noise(0, 30)]
    shuffled = noise(0, 30)
    [single] = corpus_divergences(corpora(a=ordered, b=shuffled), seed=0, draws=40)
    [double] = corpus_divergences(corpora(a=ordered, b=shuffled), seed=0, draws=40, n=2)
    assert single.js.plug_in == 0
    assert double.js.excess.excludes_zero
    assert double.js.p_value < 0.05


def test_all_pairs_share_one_vocabulary_and_draws_are_reproducible():
    corpus = corpora(a=noise(0, 5), b=noise(1, 5), c=["only here", "here only"])
    found = corpus_divergences(corpus, seed=3, draws=20)
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    distinct = {token for document in corpus for token in document.text.split()}
    assert {one.vocabulary for one in found} == {len(distinct)}
    assert corpus_divergences(corpus, seed=3, draws=20) == found
    assert corpus_divergences(corpus, seed=4, draws=20) != found


def test_rest_of_two_is_the_other_and_an_outlier_lies_farthest():
    corpus = corpora(a=noise(0, 20), b=noise(1, 20))
    rest, [pair] = divergence_from_rest(corpus), corpus_divergences(corpus, seed=0, draws=20)
    assert rest["a"].kl_forward == pytest.approx(pair.kl_forward.plug_in)
    assert rest["b"].kl_forward == pytest.approx(pair.kl_backward.plug_in)
    odd = words(np.random.default_rng(0), 400, 60, prefix="v")
    found = divergence_from_rest(corpora(a=noise(0, 20), b=noise(1, 20), c=[odd]))
    assert max(found, key=lambda name: found[name].js) == "c"


def test_arguments_out_of_range():
    corpus = corpora(a=["x y"] * 2, b=["x z"] * 2)
    for options in ({"smoothing": 0.0}, {"draws": 19}):
        with pytest.raises(ConfigError, match="correct them"):
            corpus_divergences(corpus, seed=0, **options)
    with pytest.raises(CorpusError, match="needs two corpora"):
        divergence_from_rest(corpora(a=["x"]))
    with pytest.raises(CorpusError, match=r"'b' has 1 document\(s\) with 1 token\(s\)"):
        corpus_divergences(corpora(a=["x", "y"], b=["z"]), seed=0)
    with pytest.raises(CorpusError, match=r"'b' has 0 document\(s\) with 2 token\(s\)"):
        corpus_divergences(corpora(a=["x y", "y x"], b=["z", "x"]), seed=0, n=2)
    with pytest.raises(ConfigError, match="leaves no distribution"):
        divergence(np.array([0, 0]), np.array([1, 0]), smoothing=0.0)
