import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats import Undefined, threshold_test

DOSES = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
CURVES = {
    "constant": lambda dose: 0.6,
    "linear": lambda dose: 0.9 - 0.2 * dose,
    "smooth": lambda dose: 0.9 - 0.6 * dose**1.5 / (dose**1.5 + 0.6**1.5),
    "step": lambda dose: 0.9 - 0.5 * (dose > 0.6),
    "hinge": lambda dose: 0.9 - 0.3 * max(0.0, dose - 0.8),
}


def answered(curve, items=800, seed=0, noise=0.15, doses=DOSES):
    rng = np.random.default_rng(seed)
    hardness = rng.random(items)
    again = [np.where(rng.random(items) < noise, rng.random(items), hardness) for _ in doses]
    return np.array([(own < curve(dose)).astype(float) for own, dose in zip(again, doses, strict=True)])


def verdict_of(name, seed, **options):
    return threshold_test(DOSES, answered(CURVES[name], seed=seed, **options), seed=seed, draws=100)


@pytest.mark.parametrize("name", CURVES)
def test_the_true_model_wins_in_its_own_world(name):
    won = [verdict_of(name, seed).winner == name for seed in range(20)]
    assert np.mean(won) >= 0.9


@pytest.mark.parametrize("name", ["constant", "linear", "smooth"])
def test_no_threshold_is_claimed_where_there_is_none(name):
    found = [verdict_of(name, seed) for seed in range(20)]
    assert not any(one.answer == "threshold" for one in found)
    assert all(isinstance(one.threshold, Undefined) for one in found)


def test_a_step_is_found_and_placed_between_its_doses():
    for seed in range(10):
        found = verdict_of("step", seed)
        assert found.answer == "threshold"
        assert found.delta > 50
        assert (found.threshold.low, found.threshold.high) == (0.4, 0.8)


def test_a_hinge_is_placed():
    found = [verdict_of("hinge", seed, items=2000) for seed in range(10)]
    assert all(one.answer == "threshold" for one in found)
    assert np.mean([one.threshold.low <= 0.8 <= one.threshold.high for one in found]) >= 0.8
    assert np.median([one.threshold.estimate for one in found]) == pytest.approx(0.8, abs=0.15)


def test_few_items_decide_nothing():
    found = [threshold_test(DOSES, answered(CURVES["linear"], items=30, seed=s), seed=s, draws=50) for s in range(10)]
    assert not any(one.answer == "threshold" for one in found)


def test_a_curve_that_no_model_fits_says_so():
    """The mutation: a metric that falls, recovers and falls again."""
    wave = answered(lambda dose: {0.2: 0.4, 0.8: 0.9, 1.6: 0.3}.get(dose, 0.8), items=2000)
    assert threshold_test(DOSES, wave, seed=0, draws=50).misfit_p < 1e-3
    assert verdict_of("smooth", 0).misfit_p > 1e-3


def test_nothing_moves():
    still = np.tile((np.arange(40) < 20).astype(float), (7, 1))
    found = threshold_test(DOSES, still, seed=0)
    assert (found.answer, found.winner) == ("no threshold", "constant")
    assert found.as_dict()["threshold"] == {"undefined": "no item changed at any dose"}


def test_six_doses_are_needed():
    with pytest.raises(InputError, match="at least 6"):
        threshold_test(DOSES[:5], answered(CURVES["step"])[:5], seed=0)
