import numpy as np
import pytest

from imprint.emergence.allocation import Arm
from imprint.emergence.allocation.curves import CEILING_LAWS, PLAIN_LAWS, Grid, laws_for, loss_progress, span_of

TOKENS = np.array([1e9, 1e10, 1e11])


def arm(size):
    return Arm(name=f"{size}", exposure=TOKENS, cost=TOKENS, size=size)


def test_the_loss_law_is_the_published_one():
    loss = 482.01 * 1e9**-0.3478 + 2085.43 * 1e10**-0.3658
    assert loss_progress(arm(1e9))[1] == pytest.approx(-np.log10(loss))


def test_progress_runs_from_nought_to_one_and_larger_arms_lead():
    arms = [arm(1e8), arm(1e9)]
    span = span_of(arms, laws_for(arms))
    for small, large in zip(*(span.progress(one) for one in arms), strict=True):
        assert small[0] == 0.0
        assert large[-1] == pytest.approx(1.0)
        assert np.all(large > small)


def test_arms_without_sizes_are_told_apart_by_exposure_alone():
    assert len(laws_for([arm(None), arm(None)])) == 1
    assert len(laws_for([arm(1e8), arm(1e8)])) == 1


def test_curves_stay_between_floor_and_one():
    grid = Grid()
    curves = grid.curves(np.linspace(0, 1, 7)[None], 0.6)
    assert curves.shape == (12, 9, len(grid.midpoints), 7)
    assert np.all(np.diff(curves, axis=-1) >= 0)
    assert curves.min() >= -0.05
    assert curves.max() <= 1.05
    low = grid.curves(np.linspace(0, 1, 7)[None], 0.02)
    assert low[..., 0].min() >= -0.01  # a floor is at most half the target


def test_a_ceiling_law_bounds_an_arm_by_its_size():
    arms = [arm(1e8), arm(1e9)]
    span = span_of(arms, (*PLAIN_LAWS, *CEILING_LAWS))
    np.testing.assert_array_equal(span.lift(arms[1]), 1.0)
    np.testing.assert_allclose(span.lift(arms[0]), [0.1**law.ceiling_exponent for law in span.laws])
    assert span.lift(arms[0]).min() == pytest.approx(0.1**0.3)
    np.testing.assert_array_equal(span_of([arm(None)], laws_for([arm(None)])).lift(arm(None)), 1.0)
    grid, progress = Grid(floors=(0.0,)), span.progress(arms[0])
    bounded, free = grid.curves(progress, 0.2, span.lift(arms[0])), grid.curves(progress, 0.2)
    np.testing.assert_allclose(
        bounded[4 * 4], free[4 * 4] * 0.1**0.3
    )  # the first width of the fifth law, without a floor


def test_a_span_of_other_arms_places_progress_beyond_it():
    span = span_of([arm(1e8), arm(1e9)], PLAIN_LAWS)
    assert np.all(span.progress(arm(1e10))[:, -1] > 1)
