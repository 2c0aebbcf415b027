import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints import cosines, mean_over_prompts, projection_shift, projections


def test_exact_numbers():
    states, direction = np.array([[3.0, 4.0], [0.0, -2.0]]), np.array([0.0, 10.0])
    np.testing.assert_allclose(projections(states, direction), [4.0, -2.0])
    np.testing.assert_allclose(cosines(states, direction), [0.8, -1.0])
    centre = np.array([3.0, -2.0])
    np.testing.assert_allclose(projections(states, direction, centre=centre), [6.0, 0.0])
    np.testing.assert_allclose(cosines(states, direction, centre=centre), [1.0, 0.0])
    np.testing.assert_allclose(projections(states, -direction), [-4.0, 2.0])


def test_rotation_leaves_them_unchanged():
    rng = np.random.default_rng(0)
    states, direction, centre = rng.standard_normal((9, 6)), rng.standard_normal(6), rng.standard_normal(6)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    for measure in (projections, cosines):
        turned = measure(states @ turn, direction @ turn, centre=centre @ turn)
        np.testing.assert_allclose(turned, measure(states, direction, centre=centre))


def test_a_huge_dimension_hides_in_cosines_without_a_centre():
    rng = np.random.default_rng(1)
    states = rng.standard_normal((30, 4)) + np.array([0, 0, 0, 1000.0])
    assert np.abs(cosines(states, np.eye(4)[0])).max() < 0.01
    assert np.abs(cosines(states, np.eye(4)[0], centre=states.mean(0))).max() > 0.5


def test_shift_of_equal_checkpoints_is_zero_and_a_planted_one_is_found():
    rng = np.random.default_rng(2)
    before = 10 * rng.standard_normal((40, 5))
    same = projection_shift(before, before, np.eye(5)[1])
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)
    moved = projection_shift(before + 0.5 * np.eye(5)[1] + 0.1 * rng.standard_normal((40, 5)), before, np.eye(5)[1])
    assert moved.estimate == pytest.approx(0.5, abs=0.05)
    assert moved.excludes_zero
    aside = projection_shift(before + 0.5 * np.eye(5)[1], before, np.eye(5)[0])
    assert aside.estimate == 0.0
    with pytest.raises(CorpusError, match="40 and 39 prompts"):
        projection_shift(before, before[:39], np.eye(5)[0])


def test_mean_has_an_interval_over_prompts():
    found = mean_over_prompts(np.arange(10.0), metric="cosine")
    assert (found.estimate, found.n, found.unit) == (4.5, 10, "item")
    assert found.low < 4.5 < found.high
