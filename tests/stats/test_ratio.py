import numpy as np
import pytest
from scipy import stats

from imprint.stats import Effect, Undefined, relative_change

NAMES = {"unit": "pipeline seed", "control_name": "keep", "metric": "relative gain"}


def test_an_exact_multiple_has_no_width():
    kept = np.array([0.4, 0.5, 0.45, 0.5, 0.4])
    found = relative_change(1.123 * kept, kept, **NAMES)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.123, 0.123, 0.123))


def test_the_ends_are_the_ratios_that_a_paired_t_test_just_rejects():
    rng = np.random.default_rng(0)
    kept = rng.normal(0.5, 0.05, 5)
    treated = 1.3 * kept + rng.normal(0, 0.05, 5)
    found = relative_change(treated, kept, **NAMES)
    for end in (found.low, found.high):
        assert stats.ttest_1samp(treated - (1 + end) * kept, 0.0).pvalue == pytest.approx(0.05)


def test_units_do_not_matter():
    rng = np.random.default_rng(1)
    kept, treated = rng.normal(1.0, 0.1, 6), rng.normal(1.2, 0.1, 6)
    one, other = (relative_change(scale * treated, scale * kept, **NAMES) for scale in (1.0, 40.0))
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


@pytest.mark.parametrize("n", [3, 5])
def test_the_interval_covers_as_often_as_it_says(n):
    """A percentile bootstrap of the seeds covers .85 at n = 5."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(600):
        kept = rng.normal(0.5, 0.08, n)
        found = relative_change(rng.normal(0.6, 0.1, n), kept, **NAMES)
        hits += isinstance(found, Undefined) or found.low <= 0.2 <= found.high
    assert 0.925 <= hits / 600 <= 0.975


def test_a_denominator_near_zero_gives_no_ratio():
    kept = np.array([0.01, -0.02, 0.03, 0.0, 0.01])
    assert isinstance(relative_change(kept + 1, kept, **NAMES), Undefined)
    assert isinstance(relative_change(kept + 1, np.zeros(5), **NAMES), Undefined)
    assert isinstance(relative_change(kept + 1, kept + 1, **NAMES), Effect)
