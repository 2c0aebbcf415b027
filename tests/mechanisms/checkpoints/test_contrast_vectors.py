import itertools

import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints import assistant_axis, contrast_vector
from imprint.mechanisms.moments import ledoit_wolf, moments


def pairs(count=24, d=16, apart=2.0, noise=0.2, seed=0):
    """Poles `apart` along a planted direction; what a pair has in common is ten times as large as the noise."""
    rng = np.random.default_rng(seed)
    planted = rng.standard_normal(d)
    planted /= np.linalg.norm(planted)
    shared = 2 * rng.standard_normal((count, d))
    positive, negative = shared + noise * rng.standard_normal((2, count, d))
    return positive + apart * planted, negative, planted


def rotation(d, seed=1):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def test_planted_direction_and_its_sign():
    positive, negative, planted = pairs()
    found = contrast_vector(positive, negative)
    assert found.direction @ planted > 0.99
    assert found.length == pytest.approx(2.0, abs=0.2)
    assert found.p == pytest.approx(1 / 1000)
    assert found.length > 2 * found.null_95
    assert found.stability > 0.95 > found.stability_null_95
    turned = contrast_vector(negative, positive)
    np.testing.assert_allclose(turned.direction, -found.direction)
    assert turned.p == found.p


def test_shuffled_poles_give_no_direction():
    positive, negative, planted = pairs()
    swap = (np.arange(24) % 2 == 0)[:, None]
    found = contrast_vector(np.where(swap, positive, negative), np.where(swap, negative, positive))
    assert found.p > 0.2
    assert found.stability < found.stability_null_95
    assert abs(found.direction @ planted) < 0.9


@pytest.mark.parametrize("whiten", [False, True])
def test_p_is_uniform_without_an_effect(whiten):
    p = np.array([contrast_vector(*pairs(7, 6, 0.0, 1.0, seed)[:2], whiten=whiten, halves=1).p for seed in range(100)])
    assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=0.08)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.14)


@pytest.mark.parametrize("whiten", [False, True])
def test_p_equals_refitting_every_swap(whiten):
    positive, negative, _ = pairs(6, 5, 0.15, 0.5, seed=3)
    lengths = []
    for swaps in itertools.product([False, True], repeat=6):
        swap = np.array(swaps)[:, None]
        one = contrast_vector(
            np.where(swap, negative, positive), np.where(swap, positive, negative), whiten=whiten, halves=1
        )
        lengths.append(one.length)
    found = contrast_vector(positive, negative, whiten=whiten)
    assert found.p == pytest.approx(np.mean(np.array(lengths) >= found.length * (1 - 1e-9)))
    assert 0.03 < found.p < 0.9


def test_six_agreeing_pairs_reach_the_smallest_p():
    positive, negative, _ = pairs(6, 4, 5.0, 0.01)
    assert contrast_vector(positive, negative).p == pytest.approx(2 / 64)


def test_rotation_turns_the_direction_and_nothing_else():
    positive, negative, _ = pairs(apart=0.5)
    turn = rotation(16)
    for whiten in (False, True):
        one = contrast_vector(positive, negative, whiten=whiten)
        other = contrast_vector(positive @ turn, negative @ turn, whiten=whiten)
        np.testing.assert_allclose(other.direction, one.direction @ turn, atol=1e-8)
        assert (other.p, other.length) == (one.p, pytest.approx(one.length))
        assert other.stability == pytest.approx(one.stability)


def test_whitening_is_fishers_and_sees_past_a_huge_dimension():
    positive, negative, _ = pairs(60, 6, 2.0, 0.3, seed=2)
    loud = 50 * np.random.default_rng(5).standard_normal((2, 60))
    positive = np.column_stack([positive, loud[0]])
    negative = np.column_stack([negative, loud[1]])
    covariance = ledoit_wolf(moments(np.concatenate([positive, negative])))[0]
    fisher = np.linalg.solve(covariance, (positive - negative).mean(0))
    raw, white = contrast_vector(positive, negative), contrast_vector(positive, negative, whiten=True)
    np.testing.assert_allclose(white.direction, fisher / np.linalg.norm(fisher), atol=1e-10)
    assert abs(raw.direction[-1]) > 0.7
    assert abs(white.direction[-1]) < 0.1
    assert raw.p > 0.05 > white.p


def test_equal_poles_have_no_direction():
    states = pairs()[0]
    found = contrast_vector(states, states)
    assert (found.length, found.p, found.stability) == (0.0, 1.0, 0.0)
    assert not found.direction.any()


def test_assistant_axis_points_to_the_assistant_and_is_ranked_among_the_roles():
    rng = np.random.default_rng(0)
    questions = 3 * rng.standard_normal((20, 8))
    roles = questions + 0.3 * rng.standard_normal((9, 20, 8))
    assistant = questions + 0.3 * rng.standard_normal((20, 8)) + 2 * np.eye(8)[3]
    found = assistant_axis(assistant, roles)
    assert found.axis.direction[3] > 0.99
    assert found.p_roles == pytest.approx(1 / 10)
    assert found.role_lengths.max() < found.axis.length / 2
    as_role = assistant_axis(roles[0], np.concatenate([roles[1:], assistant[None]]))
    assert as_role.p_roles > 1 / 10


def test_what_is_no_contrast_is_refused():
    positive, negative, _ = pairs()
    with pytest.raises(CorpusError, match="at least 4 pairs"):
        contrast_vector(positive[:3], negative[:3])
    with pytest.raises(CorpusError, match="24 positive and 20 negative"):
        contrast_vector(positive, negative[:20])
    with pytest.raises(CorpusError, match="at least 2 roles"):
        assistant_axis(positive, negative[None])
