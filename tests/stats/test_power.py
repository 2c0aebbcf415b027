import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError
from imprint.stats import equivalence_power, minimal_detectable_effect, paired_power


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [2, 5, 20])
def test_power_and_detectable_effect_invert_each_other(n, alternative):
    least = minimal_detectable_effect(0.7, n, alternative=alternative)
    assert paired_power(least, 0.7, n, alternative=alternative) == pytest.approx(0.8, abs=1e-6)


def test_known_designs():
    assert minimal_detectable_effect(1.0, 5) == pytest.approx(1.682, abs=1e-3)
    assert minimal_detectable_effect(1.0, 34) == pytest.approx(0.495, abs=0.005)
    assert minimal_detectable_effect(3.0, 34) == pytest.approx(3 * minimal_detectable_effect(1.0, 34))
    assert paired_power(0.0, 1.0, 5) == pytest.approx(0.05)


def test_power_is_what_simulation_gives():
    rng = np.random.default_rng(0)
    p = stats.ttest_1samp(rng.normal(1.2, 1.0, (5000, 5)), 0, axis=1, alternative="greater").pvalue
    assert paired_power(1.2, 1.0, 5, alternative="greater") == pytest.approx(np.mean(p <= 0.05), abs=0.02)


def test_equivalence_power_is_what_simulation_gives():
    draws = np.random.default_rng(1).normal(0, 1.0, (5000, 20))
    high = stats.ttest_1samp(draws, -0.8, axis=1, alternative="greater").pvalue
    low = stats.ttest_1samp(draws, 0.8, axis=1, alternative="less").pvalue
    assert equivalence_power(0.8, 1.0, 20) == pytest.approx(np.mean(np.maximum(high, low) <= 0.05), abs=0.03)
    assert equivalence_power(0.1, 1.0, 5) == 0.0


@pytest.mark.parametrize("n", [2, 5, 100])
def test_huge_effects_are_certain_not_nan(n):
    assert paired_power(50.0, 1.0, n) == pytest.approx(1.0)
    assert paired_power(1e6, 1.0, n) == 1.0


@pytest.mark.parametrize("function", [lambda *a, **k: paired_power(1.0, *a, **k), minimal_detectable_effect])
def test_refusals(function):
    with pytest.raises(InputError, match="n=1"):
        function(1.0, 1)
    with pytest.raises(InputError, match="sd=0"):
        function(0.0, 5)
    with pytest.raises(InputError, match="alpha=5"):
        function(1.0, 5, alpha=5.0)


def test_asked_power_must_exceed_alpha():
    with pytest.raises(InputError, match="power=80"):
        minimal_detectable_effect(1.0, 5, power=80.0)
