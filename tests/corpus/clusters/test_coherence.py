import numpy as np
import pytest

from imprint.corpus.clusters import npmi, topic_coherence
from imprint.errors import CorpusError


def columns(*words):
    return np.array(words, dtype=bool).T


def test_npmi_by_hand():
    together, never, half = [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]
    found = npmi(columns(together, together, never, half))
    assert found[0, 1] == pytest.approx(1.0)
    assert found[0, 2] == pytest.approx(-1.0)
    assert found[0, 3] == pytest.approx(0.0)
    found = npmi(columns([1, 1, 1, 0], [1, 1, 0, 0]))
    assert found[0, 1] == pytest.approx(np.log(0.5 / (0.75 * 0.5)) / -np.log(0.5))


def test_words_that_are_everywhere_or_nowhere_say_nothing():
    found = npmi(columns([1, 1, 1], [1, 0, 1], [0, 0, 0]))
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[2], 0)


def test_coherence_is_the_mean_over_pairs():
    presence = columns([1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1])
    found = topic_coherence(presence, seed=0)
    assert found.estimate == pytest.approx((1 - 1 - 1) / 3)
    assert found.low <= found.estimate <= found.high


def test_a_theme_is_coherent_and_random_words_are_not():
    generator = np.random.default_rng(0)
    theme = generator.random(600) < 0.3
    words = (generator.random((600, 6)) < np.where(theme, 0.8, 0.05)[:, None]).astype(bool)
    shuffled = np.stack([generator.permutation(column) for column in words.T], axis=1)
    found, null = (topic_coherence(presence, seed=1) for presence in (words, shuffled))
    assert found.low > 0.3
    assert abs(null.estimate) < 0.05
    assert not null.low > 0.05


def test_bootstrap_is_over_documents():
    """Every document doubled looks like more evidence to a resampling of pairs; over documents it narrows by sqrt(2)."""
    generator = np.random.default_rng(0)
    presence = generator.random((200, 4)) < 0.4
    once, twice = (topic_coherence(np.tile(presence, (times, 1)), seed=0, draws=2000) for times in (1, 2))
    assert (once.high - once.low) / (twice.high - twice.low) == pytest.approx(np.sqrt(2), rel=0.12)


def test_too_little():
    with pytest.raises(CorpusError, match="coherence needs 2 words and 2 documents, not 1 and 3"):
        topic_coherence(columns([1, 0, 1]), seed=0)
