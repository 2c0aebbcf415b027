import numpy as np
import pytest

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import spearman
from imprint.stats.lds import lds, lds_by_query, lds_difference, noise_ceiling, subset_scores

ROWS, SUBSETS, QUERIES = 60, 100, 12


@pytest.fixture
def world():
    """An additive world: the value of a subset is the sum of the true effects of its rows."""
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((QUERIES, ROWS))
    kept = generator.random((SUBSETS, ROWS)) < 0.5
    return truth, kept, subset_scores(truth, kept).T


def test_subset_scores_by_hand():
    scores, kept = np.array([[1.0, 2.0, 4.0]]), np.array([[True, False, True], [False, False, False]])
    assert subset_scores(scores, kept).tolist() == [[5.0, 0.0]]


def test_the_oracle_scores_one_and_its_negative_minus_one(world):
    """AT-IF-5."""
    truth, kept, values = world
    assert lds_by_query(truth, kept, values) == pytest.approx(np.ones(QUERIES))
    assert lds_by_query(-truth, kept, values) == pytest.approx(-np.ones(QUERIES))
    effect = lds(truth, kept, values, seed=0)
    assert (effect.estimate, effect.low, effect.high) == pytest.approx((1.0, 1.0, 1.0))


def test_random_scores_are_null():
    """AT-IF-5: mean 0, spread one over the root of the number of subsets less one (where there are many more rows)."""
    generator = np.random.default_rng(0)
    truth, kept = generator.standard_normal((QUERIES, 2000)), generator.random((SUBSETS, 2000)) < 0.5
    values = subset_scores(truth, kept).T
    found = np.concatenate([lds_by_query(generator.standard_normal(truth.shape), kept, values) for _ in range(60)])
    assert found.mean() == pytest.approx(0, abs=0.015)
    assert found.std() == pytest.approx((SUBSETS - 1) ** -0.5, rel=0.1)


def test_scale_shift_and_order_do_not_matter(world):
    truth, kept, values = world
    noisy = truth + np.random.default_rng(1).standard_normal(truth.shape)
    base, order = lds_by_query(noisy, kept, values), np.random.default_rng(2).permutation(SUBSETS)
    np.testing.assert_allclose(lds_by_query(3 * noisy, kept, np.exp(values / 50) + 7), base)
    np.testing.assert_allclose(lds_by_query(noisy, kept[order], values[order]), base)
    rows = np.random.default_rng(3).permutation(ROWS)
    np.testing.assert_allclose(lds_by_query(noisy[:, rows], kept[:, rows], values), base)


def test_it_is_spearman_with_ties(world):
    truth, kept, values = world
    rough, predicted = np.round(values), subset_scores(np.round(truth), kept)
    expected = [spearman(predicted[query], rough[:, query]) for query in range(QUERIES)]
    np.testing.assert_allclose(lds_by_query(np.round(truth), kept, rough), expected)


def test_scores_that_do_not_differ_rank_nothing():
    """With equally large subsets equal scores predict the same for all; rounding must not rank them."""
    generator = np.random.default_rng(0)
    kept = np.array([generator.permutation(10) < 5 for _ in range(20)])
    values = generator.standard_normal((20, 2))
    assert lds_by_query(np.full((2, 10), 0.1), kept, values).tolist() == [0.0, 0.0]


def test_the_interval_covers_over_both_ways():
    """Queries that differ and few subsets: the interval of one sample holds the value of the population."""
    hits = 0
    for trial in range(60):
        generator = np.random.default_rng(trial)
        truth = generator.standard_normal((10, 30))
        kept = generator.random((40, 30)) < 0.5
        noise = generator.uniform(0.5, 4, size=10) * 2.7
        values = subset_scores(truth, kept).T + noise * generator.standard_normal((40, 10))
        effect = lds(truth, kept, values, seed=trial, draws=300)
        hits += effect.low <= 0.442 <= effect.high
    assert hits >= 55


def test_a_paired_difference_is_narrower_than_two_intervals(world):
    truth, kept, values = world
    generator = np.random.default_rng(1)
    values = values + 8 * generator.standard_normal(values.shape)
    good, bad = (truth + spread * generator.standard_normal(truth.shape) for spread in (0.3, 1.5))
    lead = lds_difference(good, bad, kept, values, seed=0, control_name="worse")
    apart = lds(good, kept, values, seed=0), lds(bad, kept, values, seed=0)
    assert lead.estimate == pytest.approx(apart[0].estimate - apart[1].estimate)
    assert lead.low > 0
    assert lead.high - lead.low < sum(one.high - one.low for one in apart)
    none = lds_difference(good, good, kept, values, seed=0, control_name="itself")
    assert (none.estimate, none.low, none.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("seeds", [2, 4])
def test_the_ceiling_is_that_of_the_noise(noise, seeds):
    """Signal 1 and noise s a seed: halves agree at 1 / (1 + 2 s^2 / seeds), the truth reaches the root of the whole."""
    generator = np.random.default_rng(0)
    signal = generator.standard_normal((400, 40))
    values = signal[None] + noise * generator.standard_normal((seeds, 400, 40))
    found = noise_ceiling(values, seed=0, draws=100)
    assert found.halves.estimate == pytest.approx(1 / (1 + 2 * noise**2 / seeds), abs=0.03)
    assert found.full == pytest.approx(1 / (1 + noise**2 / seeds), abs=0.03)
    truth_reaches = np.mean([spearman(signal[:, q], values.mean(0)[:, q]) for q in range(40)])
    assert found.attainable == pytest.approx(truth_reaches, abs=0.03)


def test_values_of_nothing_but_noise_have_no_ceiling():
    found = noise_ceiling(np.random.default_rng(0).standard_normal((2, 100, 20)), seed=0, draws=100)
    assert abs(found.halves.estimate) < 0.06
    assert found.full < 0.12


def test_what_cannot_be_scored_is_refused(world):
    truth, kept, values = world
    with pytest.raises(InputError, match="do not fit subsets of 59 rows"):
        lds_by_query(truth, kept[:, :-1], values)
    with pytest.raises(InputError, match="do not fit 100 subsets and 12 queries"):
        lds_by_query(truth, kept, values.T)
    with pytest.raises(InputError, match="query 3 has the same value"):
        lds_by_query(truth, kept, np.where(np.arange(QUERIES) == 3, 1.0, values))
    with pytest.raises(SelfCheckFailed, match="not finite"):
        lds_by_query(np.where(truth == truth.max(), np.nan, truth), kept, values)
    with pytest.raises(InputError, match="at least 2 retrainings"):
        noise_ceiling(values[None], seed=0)
