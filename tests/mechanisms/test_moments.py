from importlib import import_module

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from imprint.errors import CorpusError, SelfCheckFailed
from imprint.mechanisms import document_means, ledoit_wolf, moments
from imprint.mechanisms.moments import blocks, pooled, whitener


@pytest.fixture
def states():
    """Half floats on a mean of 40: a one-pass variance in half or single precision would be wrong."""
    rng = np.random.default_rng(0)
    return (40 + rng.standard_normal((700, 12)) @ rng.standard_normal((12, 12))).astype(np.float16)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(import_module("imprint.mechanisms.moments"), "_NUMBERS_AT_ONCE", 12 * 64)


def test_moments_equal_numpys_whatever_the_block(states, small_blocks):
    found, double = moments(states), states.astype(np.float64)
    np.testing.assert_allclose(found.mean, double.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(double.T, bias=True), atol=1e-11)
    centred = double - double.mean(0)
    assert found.fourth == pytest.approx(np.square(np.square(centred).sum(1)).mean())


def test_the_callers_array_is_left_alone(states):
    double = states.astype(np.float64)
    before = double.copy()
    moments(double)
    assert np.array_equal(double, before)


def test_a_memory_map_and_chosen_rows(states, small_blocks, tmp_path):
    np.save(tmp_path / "states.npy", states)
    stored = np.load(tmp_path / "states.npy", mmap_mode="r")
    rows = np.flatnonzero(np.arange(700) % 3 == 0)
    found, wanted = moments(stored, rows), moments(states[rows])
    np.testing.assert_array_equal(found.covariance, wanted.covariance)
    assert (found.n, found.fourth) == (234, wanted.fourth)
    assert len(list(blocks(stored))) == 11


@pytest.mark.parametrize("n", [5, 40, 700])
def test_ledoit_wolf_equals_scikit_learns(states, n):
    sample = states[:n].astype(np.float64)
    covariance, shrinkage = ledoit_wolf(moments(sample))
    theirs = LedoitWolf().fit(sample)
    assert shrinkage == pytest.approx(theirs.shrinkage_, rel=1e-9)
    np.testing.assert_allclose(covariance, theirs.covariance_, rtol=1e-9, atol=1e-12)


def test_ledoit_wolf_is_invertible_with_fewer_rows_than_dimensions():
    """METHODS §5: the sample covariance has condition 5.6e17 at n = 100, d = 128."""
    sample = np.random.default_rng(0).standard_normal((100, 128))
    covariance, shrinkage = ledoit_wolf(moments(sample))
    assert np.linalg.cond(moments(sample).covariance) > 1e15
    assert np.linalg.cond(covariance) < 10
    assert 0.9 < shrinkage <= 1


def test_pooling_ignores_the_distance_between_the_groups(states):
    near, far = states[:300].astype(np.float64), states[300:].astype(np.float64)
    whole = pooled(moments(near), moments(far))
    shifted = pooled(moments(near), moments(far + 100.0))
    np.testing.assert_allclose(whole.covariance, shifted.covariance, atol=1e-8)
    both = np.concatenate([near - near.mean(0), far - far.mean(0)])
    np.testing.assert_allclose(whole.covariance, moments(both).covariance, atol=1e-10)
    assert whole.fourth == pytest.approx(moments(both).fourth)


def test_the_whitener_gives_distances(states):
    covariance = moments(states).covariance
    step = np.arange(12.0)
    assert np.square(whitener(covariance) @ step).sum() == pytest.approx(step @ np.linalg.solve(covariance, step))
    with pytest.raises(SelfCheckFailed, match="singular"):
        whitener(np.zeros((3, 3)))


def test_means_by_document_do_not_mind_order(states, small_blocks):
    documents = np.random.default_rng(1).integers(0, 9, 700) * 10
    found = document_means(states, documents)
    assert found.documents.tolist() == list(range(0, 90, 10))
    for row, name in enumerate(found.documents):
        np.testing.assert_allclose(found.means[row], states[documents == name].astype(np.float64).mean(0))
    assert found.tokens.sum() == 700
    assert set(found.labels) == {-1}


def test_means_by_document_and_cluster():
    states = np.array([[0.0], [2.0], [10.0], [4.0], [6.0]])
    found = document_means(states, np.array([7, 7, 7, 3, 3]), np.array([0, 0, 1, 1, -1]))
    assert found.documents.tolist() == [3, 3, 7, 7]
    assert found.labels.tolist() == [-1, 1, 0, 1]
    assert found.means[:, 0].tolist() == [6, 4, 1, 10]


def test_what_cannot_be_used_is_refused():
    with pytest.raises(CorpusError, match="1 activation"):
        moments(np.ones((1, 3)))
    overflowed = np.ones((4, 3), dtype=np.float16)
    overflowed[2, 1] = np.inf
    with pytest.raises(SelfCheckFailed, match="float32"):
        moments(overflowed)
