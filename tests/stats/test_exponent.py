import numpy as np
import pytest

from imprint.errors import ImprintError
from imprint.stats import Undefined, power_exponent

SIZES = (14e6, 31e6, 70e6, 160e6)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.7])
def test_an_exact_power_comes_back_with_no_width(power):
    found = power_exponent(SIZES, [3.0 * size**power for size in SIZES], metric="cost")
    assert (found.estimate, found.low, found.high) == pytest.approx((power, power, power))
    assert found.n == 4


def test_units_do_not_matter():
    costs = [1.0, 2.5, 3.5, 9.0]
    one = power_exponent(SIZES, costs, metric="cost")
    other = power_exponent([size / 1e6 for size in SIZES], [60 * cost for cost in costs], metric="cost")
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        costs = [size**0.8 * np.exp(rng.normal(0, 0.1)) for size in SIZES]
        found = power_exponent(SIZES, costs, metric="cost")
        hits += found.low <= 0.8 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_too_few_or_impossible_sizes():
    assert isinstance(power_exponent([1.0, 1.0, 2.0], [1.0, 1.0, 2.0], metric="cost"), Undefined)
    with pytest.raises(ImprintError, match="costs"):
        power_exponent([1.0, 2.0, 3.0], [1.0, 0.0, 2.0], metric="cost")
