from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import feature_differences, joint_strata, quantile_bins
from imprint.stats.matched_features import _delta_interval

ONE = "all others"


def compare(values, treated, labels=None, **options):
    """One feature under one matching."""
    labels = np.zeros(len(values), dtype=int) if labels is None else labels
    (found,) = feature_differences(
        {"x": np.asarray(values, dtype=float)}, np.asarray(treated, dtype=bool), {ONE: labels}, seed=0, **options
    )
    return found


def world(seed, n=300, strata=6, shift=0.0, inside=0.0):
    """The stratum moves the feature by `shift`, treatment by `inside`; high strata hold more treated documents."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(strata, size=n)
    treated = rng.random(n) < 0.1 + 0.5 * labels / strata
    return rng.normal(size=n) + shift * labels + inside * treated, treated, labels


def test_numbers_by_hand():
    values, treated = [1.0, 3.0, 2.0, 5.0, 0.0], [True, True, False, False, False]
    (row,) = compare(values, treated).features
    assert (row.treated_mean, row.control_mean) == pytest.approx((2.0, 7 / 3))
    assert row.difference.estimate == pytest.approx(-1 / 3)
    assert row.delta.estimate == pytest.approx((1 - 2 + 2 - 1) / 6)  # 1 is above 0 only; 3 is above 2 and 0


def test_strata_weigh_by_their_treated_documents():
    values = [10.0, 10.0, 10.0, 4.0, 4.0, 0.0, 0.0, 1.0]
    treated = [True, True, True, False, False, True, False, False]
    (row,) = compare(values, treated, np.array([0, 0, 0, 0, 0, 1, 1, 1])).features
    assert row.control_mean == pytest.approx((3 * 4 + 1 * 0.5) / 4)
    assert row.delta.estimate == pytest.approx((3 * 1 + 1 * -0.5) / 4)
    assert row.difference.estimate == pytest.approx(7.5 - 3.125)


def test_the_standard_error_by_hand():
    """Both arms are samples: the spread of the treated contrasts, and of the controls by stratum, weighted as the mean is."""
    values = [10.0, 10.0, 10.0, 4.0, 4.0, 0.0, 0.0, 1.0]
    treated = [True, True, True, False, False, True, False, False]
    (row,) = compare(values, treated, np.array([0, 0, 0, 0, 0, 1, 1, 1])).features
    square = np.var([6, 6, 6, -0.5], ddof=1) / 4 + 0.25**2 * 0.5 / 2
    assert row.difference.high - row.difference.estimate == pytest.approx(stats.t.ppf(0.975, 3) * np.sqrt(square))
    (alone,) = compare([*values, 3.0, 2.0], [*treated, True, False], np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])).features
    pooled = (0 + 0.5) / 2
    square = np.var([6, 6, 6, -0.5, 1], ddof=1) / 5 + 0.2**2 * 0.5 / 2 + 0.2**2 * pooled
    assert alone.difference.high - alone.difference.estimate == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(square))


def test_delta_is_twice_the_auc_minus_one_with_ties():
    values, treated, _ = world(0)
    values = np.round(values)
    (row,) = compare(values, treated).features
    u = stats.mannwhitneyu(values[treated], values[~treated]).statistic
    assert row.delta.estimate == pytest.approx(2 * u / (treated.sum() * (~treated).sum()) - 1)


def test_p_is_the_exact_permutation_p_within_strata():
    values = np.array([5.0, 1.0, 4.0, 2.0, 3.0, 9.0, 8.0, 7.0, 7.0])
    treated = np.array([True, False, True, False, False, True, False, False, False])
    labels = np.array([0] * 5 + [1] * 4)

    def statistic(chosen):
        above = [np.sign(values[i] - values[j]) / controls for group, controls in ((range(5), 3), (range(5, 9), 3))
                 for i in group for j in group if i in chosen and j not in chosen]  # fmt: skip
        return sum(above) / 3

    everything = [statistic({*pair, one}) for pair in combinations(range(5), 2) for one in range(5, 9)]
    exact = np.mean([abs(value) >= abs(statistic({0, 2, 5})) - 1e-12 for value in everything])
    (row,) = compare(values, treated, labels, draws=20_000).features
    assert row.delta.estimate == pytest.approx(statistic({0, 2, 5}))
    assert exact == 1 / 40
    assert row.p == pytest.approx(exact, abs=0.004)


def test_p_agrees_with_mann_and_whitney():
    values, treated, _ = world(1, n=40)
    (row,) = compare(values, treated, draws=20_000).features
    assert row.p == pytest.approx(stats.mannwhitneyu(values[treated], values[~treated]).pvalue, abs=0.015)


def test_a_planted_difference_is_found_with_its_sign_and_size():
    values, treated, labels = world(2, n=2000, shift=1.0, inside=0.8)
    features = {"planted": values, "opposite": -values, "noise": np.random.default_rng(3).normal(size=2000)}
    (found,) = feature_differences(features, treated, {"same stratum": labels}, seed=0)
    planted, opposite, noise = found.features
    assert planted.q < 0.05
    assert planted.difference.low < 0.8 < planted.difference.high
    expected = 2 * stats.norm.cdf(0.8 / np.sqrt(2)) - 1
    assert planted.delta.low < expected < planted.delta.high
    assert planted.delta.high - planted.delta.low < 0.15
    assert opposite.delta.estimate == pytest.approx(-planted.delta.estimate)
    assert opposite.q < 0.05 < noise.q


def test_what_only_the_stratum_explains_vanishes_against_controls_of_the_same_stratum():
    values, treated, labels = world(4, n=2000, shift=1.0)
    alone = np.zeros(len(values), dtype=int)
    everyone, same = feature_differences({"x": values}, treated, {"all": alone, "same": labels}, seed=0)
    assert everyone.features[0].delta.low > 0.2
    assert everyone.features[0].q < 0.05
    assert not same.features[0].delta.excludes_zero
    assert same.features[0].q > 0.05
    wrong = np.random.default_rng(5).permutation(labels)
    assert compare(values, treated, wrong).features[0].delta.low > 0.2


def test_random_documents_give_uniform_p():
    p = []
    for seed in range(200):
        values, _, labels = world(seed, n=80, shift=2.0)
        treated = np.random.default_rng(1000 + seed).permutation(80) < 20
        (row,) = compare(values, treated, labels, draws=200).features
        p.append(row.p)
    assert np.mean(np.array(p) < 0.05) <= 0.085  # two standard errors above .05
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_false_discoveries_over_features_and_matchings_stay_rare():
    rng = np.random.default_rng(5)
    labels, hits = rng.integers(4, size=100), 0
    for seed in range(40):
        features = {str(number): rng.normal(size=100) for number in range(5)}
        found = feature_differences(
            features, rng.permutation(100) < 20, {"a": labels * 0, "b": labels}, seed=seed, draws=300
        )
        hits += any(row.q < 0.05 for one in found for row in one.features)
    assert hits / 40 <= 0.125


def test_q_counts_every_feature_and_matching():
    values, treated, labels = world(6, n=200, inside=0.35)
    features = {"x": values} | {f"noise {k}": np.random.default_rng(k).normal(size=200) for k in range(9)}
    found = feature_differences(features, treated, {"all": labels * 0, "same": labels}, seed=0)
    p = np.array([row.p for one in found for row in one.features])
    q = np.array([row.q for one in found for row in one.features])
    assert q == pytest.approx(stats.false_discovery_control(p))
    assert compare(values, treated).features[0].q == compare(values, treated).features[0].p


@pytest.mark.parametrize(("n", "strata", "inside"), [(60, 3, 0.5), (300, 10, 0.0), (200, 60, 0.5)])
def test_intervals_cover(n, strata, inside):
    """True delta within a stratum: 2 Phi(inside / sqrt 2) - 1, also where most strata hold one control."""
    truth, hits = float(2 * stats.norm.cdf(inside / np.sqrt(2)) - 1), []
    for seed in range(300):
        (row,) = compare(*world(seed, n=n, strata=strata, shift=1.0, inside=inside), draws=1).features
        hits.append((not row.delta.excludes(truth), not row.difference.excludes(inside)))
    delta, difference = np.mean(hits, axis=0)
    assert 0.92 <= delta < 0.999
    assert 0.92 <= difference < 0.999


def test_the_order_of_the_documents_does_not_matter():
    values, treated, labels = world(7)
    rng = np.random.default_rng(8)
    features = {"x": values, "tied": np.round(values)}
    shuffle = rng.permutation(len(values))
    straight = feature_differences(features, treated, {"same": labels}, seed=3)
    mixed = feature_differences(
        {name: column[shuffle] for name, column in features.items()},
        treated[shuffle],
        {"same": labels[shuffle]},
        seed=3,
    )
    assert straight == mixed
    assert straight != feature_differences(features, treated, {"same": labels}, seed=4)


def test_delta_and_p_ignore_a_monotone_change_of_scale():
    values, treated, labels = world(9)
    plain, bent = compare(values, treated, labels).features[0], compare(np.exp(values), treated, labels).features[0]
    assert (bent.delta.estimate, bent.delta.low, bent.p) == (plain.delta.estimate, plain.delta.low, plain.p)
    assert bent.difference != plain.difference


def test_documents_without_a_control_are_counted_and_left_out():
    values = np.array([100.0, 1.0, 2.0, 0.0, 0.5, 7.0, 8.0])
    treated = np.array([True, True, True, False, False, False, False])
    found = compare(values, treated, np.array(["alone", "a", "a", "a", "a", "untreated", "untreated"]))
    assert (found.treated, found.unmatched, found.controls) == (2, 1, 2)
    assert found.features[0].treated_mean == 1.5
    assert found.features[0].delta.n == 2


def test_nothing_to_compare_is_an_empty_table():
    found = compare(np.arange(4.0), [True, True, False, False], np.array([0, 1, 2, 3]))
    assert (found.treated, found.unmatched, found.controls, found.features) == (0, 2, 0, ())


def test_perfect_separation_keeps_a_width():
    (row,) = compare(np.arange(40.0), np.arange(40) >= 30).features
    assert (row.delta.estimate, row.delta.high) == (1.0, 1.0)
    assert row.delta.low == pytest.approx(2 * 0.025**0.1 - 1)
    assert "exact binomial" in row.delta.note
    assert _delta_interval(-1.0, 0.0, 10, 30)[:2] == (-1.0, -row.delta.low)


def test_a_feature_that_never_varies_is_no_difference():
    (row,) = compare(np.full(30, 0.1), np.arange(30) < 10).features
    assert (row.delta.estimate, row.delta.low, row.delta.high, row.p, row.q) == (0.0, 0.0, 0.0, 1.0, 1.0)
    assert row.difference.estimate == row.difference.high == 0.0
    assert "same value" in row.delta.note
    assert "same value" in row.difference.note


def test_one_control_in_every_stratum():
    labels = np.tile(np.arange(10), 2)
    values, treated = np.random.default_rng(10).normal(size=20), np.arange(20) < 10
    (row,) = compare(values, treated, labels).features
    assert row.difference.estimate == pytest.approx((values[:10] - values[10:]).mean())
    assert row.difference.low < row.difference.estimate < row.difference.high


def test_bins_and_strata():
    assert quantile_bins(np.arange(100.0)).tolist() == [number // 10 for number in range(100)]
    assert quantile_bins(np.full(9, 64.0)).max() == 0
    assert quantile_bins(np.array([0.0, 0.0, 0.0, 1.0]), bins=2).tolist() == [0, 0, 0, 1]
    joint = joint_strata(np.array(["a", "a", "b", "b"]), np.array([0, 1, 0, 0]))
    assert joint[2] == joint[3]
    assert len(set(joint.tolist())) == 3


def test_refusals():
    values, treated = np.arange(4.0), np.array([True, False, False, False])
    one = {"a": np.zeros(4, dtype=int)}
    with pytest.raises(InputError, match="at least one of each"):
        feature_differences({"x": values}, treated, {}, seed=0)
    with pytest.raises(InputError, match="'x' has 3 values for 4 documents"):
        feature_differences({"x": values[:3]}, treated, one, seed=0)
    with pytest.raises(InputError, match="0 of 4 documents are treated"):
        feature_differences({"x": values}, ~np.ones(4, dtype=bool), one, seed=0)
    with pytest.raises(SelfCheckFailed, match="the feature 'x'"):
        feature_differences({"x": values * np.nan}, treated, one, seed=0)
