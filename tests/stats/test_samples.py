import numpy as np
import pytest

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats.samples import paired_differences, require_fraction, require_sample, top_count


def test_names_the_first_bad_position():
    with pytest.raises(SelfCheckFailed, match=r"2 value\(s\).*\(nan\) at position 1"):
        require_sample(np.array([1.0, np.nan, np.inf]))


def test_counts_values():
    require_sample(np.ones(3), at_least=3)
    with pytest.raises(InputError, match=r"scores has 2 value\(s\), at least 3"):
        require_sample(np.ones(2), at_least=3, name="scores")


def test_differences_keep_order_and_precision():
    treated, control = np.array([3.0, 1.0], dtype=np.float32), np.array([1.0, 2.0], dtype=np.float32)
    found = paired_differences(treated, control)
    assert found.dtype == np.float64
    assert found.tolist() == [2.0, -1.0]


def test_rounding_is_no_spread():
    treated, control = np.array([0.3, 0.4, 0.7]), np.array([0.1, 0.2, 0.5])
    assert len(set((treated - control).tolist())) > 1
    assert np.ptp(paired_differences(treated, control)) == 0


def test_arms_must_match():
    with pytest.raises(InputError, match="3 treated and 2 control"):
        paired_differences(np.ones(3), np.ones(2))


@pytest.mark.parametrize(("n", "fraction", "count"), [(1000, 0.1, 100), (5, 0.1, 1), (19, 0.1, 2), (400, 0.25, 100)])
def test_top_count(n, fraction, count):
    assert top_count(n, fraction) == count


@pytest.mark.parametrize("fraction", [0.0, 1.0, 10.0, float("nan")])
def test_fraction(fraction):
    with pytest.raises(InputError, match="fraction"):
        require_fraction(fraction)
