import numpy as np
import pytest
from scipy.stats import spearmanr

from imprint.attribution.methods import expected_recovery, fit_datamodels, runs_needed
from imprint.attribution.methods.retraining import random_subsets
from imprint.errors import ConfigError

ROWS = 100


def additive_world(runs, noise, seed=0, rows=ROWS):
    """f(S) = the sum of the effects of its rows + noise, as METHODS AT-IF-6."""
    generator = np.random.default_rng(seed)
    effects = generator.standard_normal(rows)
    masks = (generator.random((runs, rows)) < 0.5).astype(float)
    return masks, (masks @ effects + noise * generator.standard_normal(runs))[:, None], effects


def recovered(runs, noise, seed=0, rows=ROWS):
    masks, outcomes, effects = additive_world(runs, noise, seed, rows)
    weights, _ = fit_datamodels(masks, outcomes)
    return np.corrcoef(weights[0], effects)[0, 1]


def test_an_additive_world_is_recovered_exactly_and_with_noise_as_well_as_the_reference_says():
    """AT-IF-6: least squares reached 1.000 and .874 at noise 0 and 5 with 400 runs."""
    assert recovered(400, 0.0) == pytest.approx(1.0, abs=1e-3)
    assert np.mean([recovered(400, 5.0, seed) for seed in range(4)]) == pytest.approx(0.874, abs=0.02)


def test_fewer_runs_than_rows_recover_less():
    """AT-IF-6: .722 with 60 runs for 100 rows without noise."""
    assert np.mean([recovered(60, 0.0, seed) for seed in range(4)]) == pytest.approx(0.74, abs=0.03)


def test_lasso_needs_fewer_runs_where_few_rows_matter():
    generator = np.random.default_rng(0)
    effects = np.zeros(ROWS)
    effects[:5] = generator.standard_normal(5) + 3
    masks = (generator.random((60, ROWS)) < 0.5).astype(float)
    weights, shares = fit_datamodels(masks, (masks @ effects)[:, None])
    assert np.corrcoef(weights[0], effects)[0, 1] > 0.98
    assert shares[0] > 0.9


def test_the_oracle_has_lds_one_and_turned_round_minus_one():
    masks, outcomes, effects = additive_world(100, 0.0)
    assert spearmanr(masks @ effects, outcomes[:, 0]).statistic == pytest.approx(1.0)
    assert spearmanr(masks @ -effects, outcomes[:, 0]).statistic == pytest.approx(-1.0)
    weights, _ = fit_datamodels(*additive_world(400, 0.0)[:2])
    assert spearmanr(masks @ weights[0], outcomes[:, 0]).statistic > 0.99


def test_pure_noise_explains_nothing():
    masks, _, _ = additive_world(200, 0.0)
    noise = np.random.default_rng(3).standard_normal((200, 3))
    weights, shares = fit_datamodels(masks, noise)
    assert (shares < 0.05).all()
    assert np.abs(weights).max() < 0.5


def test_outcomes_that_never_change_have_no_effects():
    weights, shares = fit_datamodels(additive_world(50, 0.0)[0], np.full((50, 1), 2.5))
    assert (weights == 0).all()
    assert shares[0] == 0


def test_queries_are_fitted_apart_and_keep_their_unit():
    masks, outcomes, _ = additive_world(200, 1.0)
    both, _ = fit_datamodels(masks, np.hstack([outcomes, -10 * outcomes + 3]))
    np.testing.assert_allclose(both[1], -10 * both[0], rtol=1e-3, atol=1e-3)


def test_too_few_runs_for_cross_validation():
    with pytest.raises(ConfigError, match="too few"):
        fit_datamodels(np.ones((4, 3)), np.ones((4, 1)))


@pytest.mark.parametrize(("runs", "noise"), [(400, 5.0), (400, 20.0), (200, 5.0)])
def test_the_power_formula_is_what_least_squares_gets_on_average(runs, noise):
    found = []
    for seed in range(20):
        masks, outcomes, effects = additive_world(runs, noise, seed)
        design = np.c_[masks, np.ones(runs)]
        found.append(np.corrcoef(np.linalg.lstsq(design, outcomes[:, 0], rcond=None)[0][:ROWS], effects)[0, 1])
    assert np.mean(found) == pytest.approx(expected_recovery(runs, ROWS, noise), abs=0.025)


def test_the_power_formula_below_one_run_a_row():
    assert expected_recovery(60, ROWS, 0.0) == pytest.approx(np.sqrt(0.59))
    assert expected_recovery(1, ROWS, 0.0) == 0
    assert expected_recovery(400, ROWS, 0.0) == 1


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_the_runs_that_are_planned_are_the_fewest_that_suffice(share):
    noise = np.sqrt(ROWS * 0.25 * (1 - share) / share)
    runs = runs_needed(ROWS, 0.7, share)
    assert expected_recovery(runs, ROWS, noise) >= 0.7
    assert expected_recovery(runs - 1, ROWS, noise) < 0.7


def test_a_plan_that_cannot_be_kept_is_refused():
    assert runs_needed(ROWS, 0.7, 1.0) == ROWS + 3
    for recovery, share in ((1.0, 0.5), (0.0, 0.5), (0.7, 0.0), (0.7, 1.1)):
        with pytest.raises(ConfigError, match="planned for"):
            runs_needed(ROWS, recovery, share)


def test_subsets_follow_the_seed_and_the_fraction():
    masks = random_subsets(200, 50, 0.3, seed=4)
    assert np.array_equal(masks, random_subsets(200, 50, 0.3, seed=4))
    assert set(np.unique(masks)) == {0.0, 1.0}
    assert masks.mean() == pytest.approx(0.3, abs=0.02)
