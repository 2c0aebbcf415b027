import itertools
import json

import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError
from imprint.stats import correlation_gate
from imprint.stats.few_points import few_points
from imprint.stats.undefined import Undefined

FIVE = np.arange(5.0)


def test_rho_of_seven_tenths_by_chance_in_14_of_120():
    y = np.array([0.0, 1, 4, 2, 3])
    found = few_points(FIVE, y, alternative="greater")
    assert found.estimate == pytest.approx(0.7)
    assert found.p == pytest.approx(14 / 120)
    assert found.p == pytest.approx(correlation_gate("spearman", 0.7, 5).false_positive_rate)
    assert (found.exact, found.smallest_p) == (True, pytest.approx(1 / 120))
    assert few_points(FIVE, y).p == pytest.approx(28 / 120)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("statistic", ["spearman", "pearson"])
def test_p_equals_enumeration_with_ties(statistic):
    x, y = np.array([0.3, 0.3, 1.1, 2.0, 5.0, 4.0]), np.array([1.0, 0.0, 0.0, 2.0, 7.0, 3.0])
    measure = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[statistic]
    seen = measure(x, y).statistic
    null = [measure(x, y[list(order)]).statistic for order in itertools.permutations(range(6))]
    found = few_points(x, y, statistic=statistic)
    assert found.estimate == pytest.approx(seen)
    assert found.p == pytest.approx(np.mean(np.abs(null) >= abs(seen) - 1e-9))


def test_leave_one_out_is_what_it_says():
    x, y = np.random.default_rng(0).standard_normal((2, 6))
    found = few_points(x, y, statistic="pearson")
    without = [stats.pearsonr(np.delete(x, i), np.delete(y, i)).statistic for i in range(6)]
    np.testing.assert_allclose(found.left_out, without)
    np.testing.assert_allclose(found.influence, found.estimate - np.array(without))
    assert (found.low, found.high) == (pytest.approx(min(without)), pytest.approx(max(without)))


def test_one_outlying_condition_is_flagged_and_a_trend_is_not():
    x = np.array([0.0, 1, 0, 1, 20])
    y = np.array([0.0, 0, 1, 1.1, 20])
    outlier = few_points(x, y, statistic="pearson")
    assert outlier.estimate > 0.99
    assert outlier.flagged == (4,)
    assert outlier.low < 0.2
    trend = few_points(FIVE, np.array([0.0, 1.2, 1.9, 3.3, 3.9]), statistic="pearson")
    assert trend.flagged == ()
    assert trend.low > 0.9


def test_a_condition_that_hides_a_trend_is_flagged():
    x, y = np.arange(6.0), np.array([0.0, 1, 2, 3, 4, -9])
    found = few_points(x, y, statistic="pearson")
    assert found.estimate < 0
    assert 5 in found.flagged
    assert found.influence[5] < -1


def test_a_correlation_of_a_single_point_is_undefined_without_it():
    found = few_points(np.array([1.0, 1, 1, 1, 2]), FIVE)
    assert isinstance(found.left_out[4], Undefined)
    assert 4 in found.flagged
    assert found.smallest_p == pytest.approx(2 / 5)
    json.dumps(found.as_dict(), allow_nan=False)


def test_order_and_units_do_not_matter_and_a_turned_x_turns_the_sign():
    x, y = np.random.default_rng(1).standard_normal((2, 7))
    order = np.random.default_rng(2).permutation(7)
    one, other = few_points(x, y), few_points(100 * x[order] + 5, y[order])
    assert (one.estimate, one.p) == (pytest.approx(other.estimate), pytest.approx(other.p))
    turned = few_points(-x, y, alternative="greater")
    assert turned.estimate == pytest.approx(-one.estimate)
    assert few_points(x, y, alternative="greater").p + turned.p == pytest.approx(1, abs=0.03)


def test_many_points_are_monte_carlo_and_agree_with_scipy():
    x = np.random.default_rng(3).standard_normal(12)
    y = x + 2 * np.random.default_rng(4).standard_normal(12)
    found = few_points(x, y, statistic="pearson", draws=4000)
    assert not found.exact
    assert found.p == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.03)
    assert found.p >= found.smallest_p == pytest.approx(1 / 4001)


def test_what_cannot_be_correlated_is_refused():
    with pytest.raises(InputError, match="at least 4"):
        few_points(np.arange(3.0), np.arange(3.0))
    with pytest.raises(InputError, match="one y per x"):
        few_points(np.arange(5.0), np.arange(4.0))
    with pytest.raises(InputError, match="same at all 5 points"):
        few_points(FIVE, np.full(5, 0.1))
