import json

import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import (
    Undefined,
    accuracy_gate,
    correlation_gate,
    correlation_gate_power,
    correlation_threshold,
    icc_power,
    null_gate,
    range_power,
    shift_gate,
    smallest_icc,
    smallest_range,
)


@pytest.mark.parametrize(("threshold", "one", "two"), [(0.7, 14, 28), (0.9, 5, 10), (1.0, 1, 2)])
def test_spearman_gates_at_five_points(threshold, one, two):
    for alternative, count in (("greater", one), ("two-sided", two)):
        gate = correlation_gate("spearman", threshold, 5, alternative=alternative)
        assert gate.false_positive_rate == pytest.approx(count / 120)
        assert gate.exact
        assert gate.low == gate.high == gate.false_positive_rate


def test_registered_gate_of_the_source():
    gate = correlation_gate("spearman", 0.7, 5)
    assert gate.false_positive_rate == pytest.approx(0.117, abs=5e-4)
    assert gate.rule == "spearman >= 0.7"
    many = correlation_gate("spearman", 0.7, 5, scalars=10)
    assert many.family_rate == pytest.approx(1 - (1 - 14 / 120) ** 10)  # 71 %: ten scalars tried
    json.dumps(gate.as_dict(), allow_nan=False)


@pytest.mark.parametrize(("threshold", "p"), [(0.5, 0.39), (0.7, 0.19), (0.8, 0.104), (0.8783, 0.05)])
def test_pearson_gates_equal_the_t_test(threshold, p):
    assert correlation_gate("pearson", threshold, 5, alternative="two-sided").false_positive_rate == pytest.approx(
        p, abs=0.003
    )


def test_kendall_equals_scipy():
    order = [0, 2, 1, 3, 5, 4]  # two swaps of neighbours: tau = 1 - 2 * 2 / 15
    expected = stats.kendalltau(range(6), order, method="exact", alternative="greater")
    gate = correlation_gate("kendall", float(expected.statistic), 6)
    assert gate.false_positive_rate == pytest.approx(expected.pvalue)


def test_monte_carlo_agrees_with_enumeration(monkeypatch):
    exact = correlation_gate("spearman", 0.6, 6)
    monkeypatch.setattr("imprint.stats.correlation_gates.EXACT_POINTS", 5)
    drawn = correlation_gate("spearman", 0.6, 6, draws=20_000)
    assert not drawn.exact
    assert drawn.low <= exact.false_positive_rate <= drawn.high
    assert drawn == correlation_gate("spearman", 0.6, 6, draws=20_000)


def test_smallest_honest_threshold():
    assert correlation_threshold("pearson", 5, alternative="two-sided") == pytest.approx(0.878, abs=5e-4)
    assert correlation_threshold("spearman", 5) == pytest.approx(0.9)
    assert correlation_threshold("spearman", 5, alternative="two-sided") == 1.0
    assert isinstance(correlation_threshold("spearman", 4, alternative="two-sided"), Undefined)
    for statistic in ("spearman", "kendall", "pearson"):
        found = correlation_threshold(statistic, 7)
        assert correlation_gate(statistic, found, 7).false_positive_rate <= 0.05 + 1e-9
        assert correlation_gate(statistic, found - 0.1, 7).false_positive_rate > 0.05


def test_gate_power_is_the_rate_without_truth_and_grows_with_it():
    rates = [correlation_gate_power("spearman", 0.7, 5, truth) for truth in (0.0, 0.5, 0.9)]
    assert rates[0] == pytest.approx(14 / 120, abs=0.01)
    assert rates[0] < rates[1] < rates[2]


def test_accuracy_gate_is_binomial():
    assert accuracy_gate(0.8, 10, chance=0.2).false_positive_rate == pytest.approx(
        stats.binomtest(8, 10, 0.2, alternative="greater").pvalue
    )
    assert accuracy_gate(1.0, 3, chance=0.5).false_positive_rate == pytest.approx(1 / 8)


def test_one_sigma_shift_of_a_single_seed_is_a_coin_toss():
    assert shift_gate(1.0, treated=1, control=1, sd_known=True).false_positive_rate == pytest.approx(0.4795, abs=1e-4)
    rng = np.random.default_rng(0)
    treated, control = rng.standard_normal((20_000, 1)), rng.standard_normal((20_000, 3))
    passed = np.abs(treated.mean(1) - control.mean(1)) >= control.std(1, ddof=1)
    assert shift_gate(1.0, treated=1, control=3).false_positive_rate == pytest.approx(passed.mean(), abs=0.012)
    assert shift_gate(1.0, treated=20, control=20).false_positive_rate < 0.01


def test_any_gate_from_a_simulated_null():
    null = np.arange(1000.0) / 1000
    gate = null_gate("share >= 0.9", 0.9, null, n=5)
    assert gate.false_positive_rate == pytest.approx(0.1)
    assert gate.low < 0.1 < gate.high
    with pytest.raises(InputError, match="at least 100"):
        null_gate("share >= 0.9", 0.9, null[:5], n=5)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        null_gate("share >= 0.9", 0.9, np.full(100, np.nan), n=5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: correlation_gate("spearman", 0.7, 2),
        lambda: correlation_gate("spearman", 1.7, 5),
        lambda: correlation_gate("spearman", 0.7, 5, scalars=0),
        lambda: correlation_gate_power("spearman", 0.7, 5, 1.0),
        lambda: accuracy_gate(0.8, 10, chance=1.0),
        lambda: shift_gate(1.0, treated=1, control=1),
        lambda: icc_power(0.5, conditions=5, pipelines=1),
        lambda: icc_power(1.0, conditions=5, pipelines=3),
        lambda: smallest_icc(conditions=5, pipelines=3, power=0.01),
        lambda: range_power(-1.0, conditions=5, pipelines=3),
        lambda: smallest_range(conditions=5, pipelines=3, alpha=0.0),
    ],
)
def test_impossible_gates_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()


def test_power_of_f_equals_simulation():
    rng = np.random.default_rng(0)
    worlds = rng.standard_normal((20_000, 5, 1)) + rng.standard_normal((20_000, 5, 4))
    p = stats.f_oneway(*np.moveaxis(worlds, 1, 0), axis=1).pvalue
    assert icc_power(0.5, conditions=5, pipelines=4) == pytest.approx(np.mean(p < 0.05), abs=0.012)
    assert icc_power(0.0, conditions=5, pipelines=4) == pytest.approx(0.05)


def test_range_power_equals_the_noncentral_f():
    truth = np.array([0, 1, 1, 1, 2.0])
    critical = stats.f.isf(0.05, 4, 15)
    expected = stats.ncf.sf(critical, 4, 15, 4 * truth.var() * 5)
    assert range_power(2.0, conditions=5, pipelines=4) == pytest.approx(expected)
    even = range_power(2.0, conditions=5, pipelines=4, spacing="even")
    assert even == pytest.approx(stats.ncf.sf(critical, 4, 15, 4 * np.linspace(0, 2, 5).var() * 5))
    assert even > expected
    assert range_power(0.0, conditions=5, pipelines=4) == pytest.approx(0.05)


@pytest.mark.parametrize("pipelines", [3, 5, 10])
def test_smallest_effects_have_the_asked_power(pipelines):
    design = {"conditions": 5, "pipelines": pipelines}
    assert icc_power(smallest_icc(**design), **design) == pytest.approx(0.8)
    assert range_power(smallest_range(**design), **design) == pytest.approx(0.8)


def test_three_pipelines_see_only_large_effects():
    assert smallest_icc(conditions=5, pipelines=3) > 0.7 > smallest_icc(conditions=5, pipelines=5)
