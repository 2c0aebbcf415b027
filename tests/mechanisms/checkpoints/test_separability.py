import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints import separability
from imprint.stats import Undefined


def poles(apart, count=40, d=8, seed=0):
    rng = np.random.default_rng(seed)
    positive, negative = rng.standard_normal((2, count, d))
    return positive + apart * np.eye(d)[2], negative


def test_poles_far_apart_are_told_apart_and_d_prime_is_in_standard_deviations():
    far = separability(*poles(8.0), draws=19)
    assert far.auc.estimate == 1.0
    assert far.p == pytest.approx(1 / 20)
    near = separability(*poles(2.0, count=200), draws=19)
    assert near.d_prime == pytest.approx(2.0, abs=0.3)
    assert near.auc.estimate == pytest.approx(0.921, abs=0.03)  # Phi(d' / sqrt 2)
    assert near.auc.excludes(0.5)


def test_noise_is_not_separable_however_many_dimensions():
    """In-sample the direction would separate 64 dimensions of noise; held out it does not."""
    positive, negative = poles(0.0, count=30, d=64)
    found = separability(positive, negative)
    assert found.p > 0.05
    assert found.auc.estimate < min(found.null_95, 0.65)
    direction = (positive - negative).mean(0)
    assert np.mean(positive @ direction > np.median(negative @ direction)) > 0.9


def test_p_is_uniform_without_an_effect():
    p = np.array([separability(*poles(0.0, 10, 4, seed), draws=19, folds=5).p for seed in range(60)])
    assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.1)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("whiten", [False, True])
def test_rotation_changes_nothing(whiten):
    positive, negative = poles(1.0)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))[0]
    one = separability(positive, negative, whiten=whiten, draws=9)
    other = separability(positive @ turn, negative @ turn, whiten=whiten, draws=9)
    assert other.auc.estimate == pytest.approx(one.auc.estimate)
    assert other.d_prime == pytest.approx(one.d_prime)
    assert other.p == one.p


def test_whitening_sees_past_a_huge_dimension():
    positive, negative = poles(3.0)
    positive[:, 0] *= 20
    negative[:, 0] *= 20
    assert separability(positive, negative, draws=1).auc.estimate < 0.8
    assert separability(positive, negative, whiten=True, draws=1).auc.estimate > 0.9


def test_equal_poles_are_at_chance_and_points_have_no_unit():
    same = poles(0.0)[0]
    found = separability(same, same, draws=19)
    assert (found.auc.estimate, found.d_prime, found.p) == (0.5, 0.0, 1.0)
    points = separability(np.ones((10, 3)), np.zeros((10, 3)), draws=1)
    assert isinstance(points.d_prime, Undefined)


def test_pairs_and_folds_are_checked():
    positive, negative = poles(1.0)
    with pytest.raises(CorpusError, match="41 folds"):
        separability(positive, negative, folds=41)
    with pytest.raises(CorpusError, match="39 negative"):
        separability(positive, negative[:39])
