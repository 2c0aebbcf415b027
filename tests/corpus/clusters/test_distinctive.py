import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_corpora import SUBJECTS, subjects

from imprint.corpus.clusters import distinctive_words, log_odds
from imprint.corpus.clusters.distinctive import word_entropy
from imprint.corpus.clusters.terms import document_terms
from imprint.errors import ConfigError


def test_log_odds_by_hand():
    """Monroe et al. 2008, eqs. 15-22 with prior_words = 10: a = 10 * (8, 12) / 20 = (4, 6)."""
    delta, z = log_odds(np.array([6, 4]), np.array([2, 8]), prior_words=10.0)
    expected = np.log(10 / 10) - np.log(6 / 14)
    assert delta[0] == pytest.approx(expected)
    assert z[0] == pytest.approx(expected / np.sqrt(1 / 10 + 1 / 6))
    assert delta[1] == pytest.approx(-expected)


def test_equal_use_gives_zero_and_an_absent_word_too():
    delta, z = log_odds(np.array([5, 5, 0]), np.array([10, 10, 0]))
    np.testing.assert_allclose([*delta, *z], 0, atol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=8))
def test_swapping_the_sides_turns_the_sign(counts):
    inside, outside = np.array(counts).T
    np.testing.assert_allclose(log_odds(inside, outside)[1], -log_odds(outside, inside)[1], atol=1e-9)


def test_a_prior_must_weigh():
    with pytest.raises(ConfigError, match=r"a prior of 0\.0 words has no weight"):
        log_odds(np.array([1]), np.array([1]), prior_words=0.0)


def test_a_subject_is_known_by_its_words():
    corpus = subjects()
    terms = document_terms([document.text for document in corpus])
    rows = np.array([place for place, document in enumerate(corpus) if document.domain == "music"])
    found = distinctive_words(terms, rows, top=12)
    assert {one.word for one in found} == set(SUBJECTS["music"])
    assert all(one.z > 0 and one.count > 0 for one in found)
    assert [one.z for one in found] == sorted((one.z for one in found), reverse=True)


def test_no_single_document_names_its_cluster():
    terms = document_terms(["rare rare rare shared", "shared word", "other", "other"])
    assert [one.word for one in distinctive_words(terms, np.array([0, 1]))] == ["shared"]
    assert "rare" in {one.word for one in distinctive_words(terms, np.array([0]))}


def test_entropy():
    terms = document_terms(["a b c d", "a b c d", "x x x x"])
    assert word_entropy(terms, np.array([0, 1])).estimate == pytest.approx(2.0)
    assert word_entropy(terms, np.array([0, 2])).estimate == pytest.approx(0.5 * 3 + 0.5 * 1)
    assert word_entropy(terms, np.array([2])) is None


def test_terms_without_a_word():
    terms = document_terms(["1 2", "--"])
    assert (terms.counts.shape, terms.words) == ((2, 0), ())
    assert distinctive_words(terms, np.array([0])) == ()
