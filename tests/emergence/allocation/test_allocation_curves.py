import numpy as np
import pytest

from imprint.emergence.allocation import Arm
from imprint.emergence.allocation.curves import Grid, laws_for, loss_law, scaled_progress

TOKENS = np.array([1e9, 1e10, 1e11])


def arm(size):
    return Arm(name=f"{size}", exposure=TOKENS, cost=TOKENS, size=size)


def test_the_loss_law_is_the_published_one():
    loss = 482.01 * 1e9**-0.3478 + 2085.43 * 1e10**-0.3658
    assert loss_law(arm(1e9))[1] == pytest.approx(-np.log10(loss))


def test_progress_runs_from_nought_to_one_and_larger_arms_lead():
    arms = [arm(1e8), arm(1e9)]
    for law in laws_for(arms):
        small, large = scaled_progress(arms, law)
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
