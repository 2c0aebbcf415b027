import itertools

import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError
from imprint.stats.theil_sen import theil_sen


def test_a_line_is_found_and_one_outlier_does_not_move_it():
    x = np.arange(7.0)
    y = 3.0 - 2.0 * x
    exact = theil_sen(x, y)
    assert (exact.slope, exact.low, exact.high, exact.pairs) == (-2.0, -2.0, -2.0, 21)
    y[3] = 1e6
    assert theil_sen(x, y).slope == -2.0


def test_slope_equals_scipy():
    x, y = np.random.default_rng(0).standard_normal((2, 11))
    assert theil_sen(x, y).slope == pytest.approx(stats.theilslopes(y, x).slope)


def test_coverage_is_that_of_all_rankings():
    """The slope 0 is inside the interval for exactly the stated share of the orders of y."""
    x = np.arange(6.0)
    found = [theil_sen(x, np.array(order, dtype=float)) for order in itertools.permutations(range(6))]
    inside = np.mean([one.low <= 0 <= one.high for one in found])
    assert inside == pytest.approx(found[0].coverage)
    assert found[0].coverage >= 0.95
    assert not found[0].note


def test_five_points_give_the_extreme_slopes_and_four_say_that_they_cannot():
    x, y = np.random.default_rng(1).standard_normal((2, 5))
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i, j in itertools.combinations(range(5), 2)]
    five = theil_sen(x, y)
    assert (five.low, five.high) == (pytest.approx(min(slopes)), pytest.approx(max(slopes)))
    assert five.coverage == pytest.approx(1 - 2 / 120)
    four = theil_sen(x[:4], y[:4])
    assert four.coverage == pytest.approx(1 - 2 / 24)
    assert "no interval of 95%" in four.note


def test_ties_are_said_and_equal_x_refused():
    assert "tied" in theil_sen(np.array([0.0, 0, 1, 2]), np.array([1.0, 2, 3, 4])).note
    with pytest.raises(InputError, match="all are equal"):
        theil_sen(np.ones(4), np.arange(4.0))
