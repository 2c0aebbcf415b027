import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints import checkpoint_directions, condition_directions

PLANTED = np.array([0.0, 3, 0, 4, 0, 0, 0, 0]) / 5
PLACES = np.array([-2.0, -1, 0, 1, 4])


def checkpoints(places=PLACES, prompts=30, noise=0.3, seed=0):
    """The same prompts, each checkpoint moved along the planted direction; prompts are far more different than that."""
    rng = np.random.default_rng(seed)
    shared = 5 * rng.standard_normal((prompts, 8))
    own = noise * rng.standard_normal((len(places), prompts, 8))
    return shared + own + np.outer(places, PLANTED)[:, None]


@pytest.mark.parametrize("whiten", [False, True])
def test_planted_direction_is_first_and_orders_the_checkpoints(whiten):
    found = checkpoint_directions(checkpoints(prompts=120), whiten=whiten, draws=99)
    assert found.basis[0] @ PLANTED > 0.99
    assert found.shares[0] > 0.9
    assert (found.p, found.p_first) == (pytest.approx(1 / 100), pytest.approx(1 / 100))
    assert found.between > 5 * found.null_95 / 2
    np.testing.assert_allclose(found.scores[:, 0], PLACES - PLACES.mean(), atol=0.25)
    np.testing.assert_allclose(np.linalg.norm(found.basis, axis=1), 1.0)
    assert found.basis.shape == (4, 8)
    assert checkpoint_directions(checkpoints(), rank=1, draws=9).scores.shape == (5, 1)


def test_checkpoints_shuffled_within_prompts_have_no_direction():
    states = checkpoints()
    order = np.random.default_rng(1).permuted(np.tile(np.arange(5), (30, 1)), axis=1).T
    found = checkpoint_directions(states[order, np.arange(30)])
    assert found.p > 0.05
    assert found.between < found.null_95


def test_p_is_uniform_between_checkpoints_that_do_not_differ():
    p = [checkpoint_directions(checkpoints(np.zeros(4), 8, 1.0, seed), draws=19).p_first for seed in range(80)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.09)
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.16)


def test_equal_checkpoints_have_zero_difference():
    one = checkpoints()[0]
    for whiten in (False, True):
        found = checkpoint_directions(np.stack([one, one, one]), whiten=whiten, draws=19)
        assert (found.between, found.p, found.p_first, found.null_95) == (0.0, 1.0, 1.0, 0.0)
        assert found.basis.shape == (0, 8)
        assert found.scores.shape == (3, 0)


def test_rotation_turns_the_basis_and_nothing_else():
    states = checkpoints()
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))[0]
    one, other = checkpoint_directions(states, draws=49), checkpoint_directions(states @ turn, draws=49)
    np.testing.assert_allclose(other.basis, one.basis @ turn, atol=1e-8)
    np.testing.assert_allclose(other.scores, one.scores, atol=1e-8)
    assert (other.p, other.between) == (one.p, pytest.approx(one.between))


def test_conditions_need_more_than_the_noise_of_pipelines():
    """Six pipelines that each went their own way: the checkpoints differ for certain, the conditions do not."""
    rng = np.random.default_rng(4)
    wander = checkpoints(np.zeros(6)) + 3 * rng.standard_normal((6, 1, 8))
    conditions = np.array([0, 0, 1, 1, 2, 2])
    assert checkpoint_directions(wander, draws=99).p == pytest.approx(1 / 100)
    assert condition_directions(wander, conditions).p > 0.1
    planted = wander + 40 * np.outer(conditions, PLANTED)[:, None]
    found = condition_directions(planted, conditions)
    assert found.p < 0.1  # of 15 ways to deal 6 pipelines to 3 pairs, one is as good
    assert abs(found.basis[0] @ PLANTED) > 0.99
    assert found.unit == "checkpoint"
    assert found.scores.shape == (3, 2)


def test_designs_that_cannot_answer_are_refused():
    with pytest.raises(CorpusError, match="nothing to separate"):
        checkpoint_directions(checkpoints()[:1])
    with pytest.raises(CorpusError, match="2 pipelines"):
        condition_directions(checkpoints(), np.arange(5))
