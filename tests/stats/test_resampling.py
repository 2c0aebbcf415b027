import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import (
    bootstrap_mean,
    equivalence_permutation,
    paired_bootstrap,
    paired_difference,
    paired_permutation,
    permutation_of_labels,
    smallest_p,
    spearman,
)

WHO = {"seed": 0, "unit": "pipeline seed", "control_name": "random deletion"}


def pairs(n, shift, seed):
    rng = np.random.default_rng(seed)
    control = rng.normal(size=n)
    return control + shift + rng.normal(size=n), control


def test_t_interval_equals_scipy():
    treated, control = pairs(5, 1.0, seed=0)
    found = paired_difference(treated, control, metric="pm", **WHO)
    expected = stats.ttest_rel(treated, control).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.estimate == pytest.approx((treated - control).mean())
    assert (found.n, found.unit, found.control, found.metric) == (5, "pipeline seed", "random deletion", "pm")


def test_bootstrap_is_close_to_theory_and_reproducible():
    treated, control = pairs(200, 0.5, seed=1)
    found = paired_bootstrap(treated, control, **WHO)
    standard_error = stats.sem(treated - control)
    assert (found.high - found.low) / (2 * 1.96 * standard_error) == pytest.approx(1, abs=0.05)
    assert found == paired_bootstrap(treated, control, **WHO)
    assert found != paired_bootstrap(treated, control, **(WHO | {"seed": 1}))


def test_auto_switches_from_t_to_bootstrap():
    for n, method in ((29, "t"), (30, "bootstrap")):
        arms = pairs(n, 0.5, seed=2)
        assert paired_difference(*arms, **WHO) == paired_difference(*arms, method=method, **WHO)
    assert "too narrow" in paired_bootstrap(*pairs(5, 0.5, seed=2), **WHO).note


def test_sign_and_pairing():
    treated, control = pairs(8, 2.0, seed=3)
    forward, back = paired_difference(treated, control, **WHO), paired_difference(control, treated, **WHO)
    assert forward.low > 0
    assert (back.estimate, back.low, back.high) == pytest.approx((-forward.estimate, -forward.high, -forward.low))
    seed_noise = 50 * np.arange(8.0)
    assert paired_difference(treated + seed_noise, control + seed_noise, **WHO).low == pytest.approx(forward.low)
    unpaired = paired_difference(treated + seed_noise, (control + seed_noise)[::-1].copy(), **WHO)
    assert not unpaired.excludes_zero  # the mutation: breaking the pairs loses the effect


def covered(n, method, truth=0.3, worlds=2000):
    hits = 0
    rng = np.random.default_rng(4)
    for _ in range(worlds):
        found = bootstrap_mean(rng.normal(truth, 1, n), method=method, draws=500, **WHO)
        hits += found.low <= truth <= found.high
    return hits / worlds


def test_interval_of_five_pairs_covers_and_bootstrap_does_not():
    assert 0.93 <= covered(5, "auto") <= 0.97
    assert covered(5, "bootstrap", worlds=500) < 0.90  # why auto does not take it


def test_bootstrap_interval_covers_at_forty():
    assert 0.92 <= covered(40, "auto", worlds=1000) <= 0.97


def test_no_spread_is_said_not_hidden():
    found = paired_difference(np.full(5, 0.3), np.full(5, 0.1), **WHO)
    assert found.low == found.estimate == found.high == pytest.approx(0.2)
    assert "no width" in found.note
    json.dumps(found.as_dict(), allow_nan=False)
    assert paired_permutation(np.ones(5), np.ones(5), seed=0) == 1.0


@pytest.mark.parametrize("function", [paired_difference, paired_bootstrap])
def test_refuses_one_pair_and_nan(function):
    with pytest.raises(InputError, match="at least 2"):
        function(np.ones(1), np.zeros(1), **WHO)
    with pytest.raises(SelfCheckFailed, match="treated arm"):
        function(np.array([1.0, np.nan]), np.zeros(2), **WHO)


def by_hand(differences, alternative):
    means = np.array([np.mean(differences * signs) for signs in itertools.product((1, -1), repeat=differences.size)])
    seen, room = differences.mean(), 1e-12
    tails = {"greater": np.mean(means >= seen - room), "less": np.mean(means <= seen + room)}
    return min(1.0, 2 * min(tails.values())) if alternative == "two-sided" else tails[alternative]


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [2, 5, 8])
def test_sign_flip_is_exact(n, alternative):
    treated, control = pairs(n, 0.7, seed=n)
    found = paired_permutation(treated, control, seed=0, alternative=alternative)
    assert found == pytest.approx(by_hand(treated - control, alternative))


def test_smallest_p_is_reached_and_never_beaten():
    for n in (3, 5, 8):
        treated = np.arange(1.0, n + 1)
        assert paired_permutation(treated, np.zeros(n), seed=0) == smallest_p(n)
        assert paired_permutation(treated, np.zeros(n), seed=0, alternative="greater") == smallest_p(n, "greater")
    assert smallest_p(3) > 0.10  # METHODS: with 3 seeds no two-sided p below .10
    assert smallest_p(5) == 0.0625
    assert smallest_p(5, "greater") == 0.03125


def test_null_shifts_the_test():
    treated, control = pairs(12, 1.0, seed=5)
    assert paired_permutation(treated, control, seed=0) < 0.05
    assert paired_permutation(treated, control, seed=0, null=1.0) > 0.2


def test_monte_carlo_agrees_with_exact_and_is_never_zero():
    treated, control = pairs(16, 0.5, seed=6)
    exact = by_hand(treated - control, "two-sided")
    assert paired_permutation(treated, control, seed=0) == pytest.approx(exact, abs=0.015)
    assert paired_permutation(np.arange(1.0, 41), np.zeros(40), seed=0, draws=999, alternative="greater") == 1 / 1000


def test_p_is_uniform_under_the_null_and_small_under_an_effect():
    found = [paired_permutation(*pairs(8, 0.0, seed=1000 + i), seed=0) for i in range(600)]
    steps = np.arange(1, 129) / 128  # 8 pairs: every multiple of 1/128
    distance = max(abs(np.mean(np.array(found) <= step + 1e-9) - step) for step in steps)
    assert distance < 1.63 / np.sqrt(600)  # Kolmogorov-Smirnov, 1 %
    powered = [paired_permutation(*pairs(8, 2.0, seed=2000 + i), seed=0) for i in range(50)]
    assert np.mean(np.array(powered) <= 0.05) > 0.9


def test_equivalence_needs_both_sides():
    close = np.array([0.01, -0.02, 0.015, -0.005, 0.0])
    assert equivalence_permutation(close, np.zeros(5), margin=0.1, seed=0) == smallest_p(5, "greater")
    assert equivalence_permutation(close + 0.2, np.zeros(5), margin=0.1, seed=0) == 1.0
    assert equivalence_permutation(close - 0.2, np.zeros(5), margin=0.1, seed=0) == 1.0
    with pytest.raises(InputError, match="margin"):
        equivalence_permutation(close, np.zeros(5), margin=0.0, seed=0)


@pytest.mark.parametrize(
    ("ranks", "rho", "orders"), [((2, 3, 1, 4, 5), 0.7, 14), ((1, 2, 3, 5, 4), 0.9, 5), ((1, 2, 3, 4, 5), 1.0, 1)]
)
def test_label_permutation_of_five_points_is_exact(ranks, rho, orders):
    """METHODS section 6: one-sided .117 for rho .7; two-sided .083 for .9 and .0167 for 1.0."""
    x, y = np.arange(1.0, 6), np.array(ranks, dtype=float)
    assert spearman(x, y) == pytest.approx(rho)
    one_sided = permutation_of_labels(x, y, spearman, seed=0, alternative="greater")
    assert one_sided == pytest.approx(orders / 120)
    assert permutation_of_labels(x, y, spearman, seed=0) == pytest.approx(2 * orders / 120)


def gap(values, labels):
    return float(values[labels].mean() - values[~labels].mean())


def test_label_permutation_null_and_effect():
    labels = np.arange(30) < 12
    null = [
        permutation_of_labels(np.random.default_rng(i).normal(size=30), labels, gap, seed=i, draws=99)
        for i in range(150)
    ]
    assert stats.kstest(null, "uniform").pvalue > 0.01
    planted = np.random.default_rng(0).normal(size=30) + 2.0 * labels
    assert permutation_of_labels(planted, labels, gap, seed=0, draws=199) == pytest.approx(2 / 200)
    with pytest.raises(InputError, match="12 labels do not fit 30"):
        permutation_of_labels(planted, labels[:12], gap, seed=0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8),
    st.floats(0.1, 100),
    st.floats(-100, 100),
)
def test_interval_follows_units_and_origin(values, scale, shift):
    sample = np.array(values)
    plain, moved = bootstrap_mean(sample, **WHO), bootstrap_mean(sample * scale + shift, **WHO)
    expected = [scale * end + shift for end in (plain.estimate, plain.low, plain.high)]
    assert [moved.estimate, moved.low, moved.high] == pytest.approx(expected, rel=1e-6, abs=1e-6)
