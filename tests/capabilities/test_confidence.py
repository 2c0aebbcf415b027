import numpy as np
import pytest

from imprint.capabilities import brier, calibration_error, reliability_curve
from imprint.errors import InputError


def calibrated(n, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.25, 1.0, n)
    return confidence, (rng.random(n) < confidence).astype(float)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_error_of_known_bins(binning):
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.3, 0.3, 0.3, 0.3])
    correct = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    found = calibration_error(confidence, correct, seed=0, bins=2, binning=binning)
    assert found.error.estimate == pytest.approx((abs(0.75 - 0.9) + abs(0.25 - 0.3)) / 2)
    assert found.error.low <= found.error.estimate <= found.error.high


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_calibrated_predictions_have_only_the_floor(binning):
    errors, debiased, small = [], [], 0
    for seed in range(20):
        found = calibration_error(*calibrated(300, seed), seed=seed, binning=binning)
        errors.append(found.error.estimate)
        debiased.append(found.debiased.estimate)
        small += found.p_calibrated < 0.05
    assert np.mean(errors) > 0.04
    assert abs(np.mean(debiased)) < 0.01
    assert small <= 4


def test_the_floor_is_about_what_theory_says():
    confidence, correct = calibrated(600)
    spread = np.sqrt(confidence * (1 - confidence)).mean()
    theory = np.sqrt(2 * 15 / (np.pi * 600)) * spread
    assert calibration_error(confidence, correct, seed=0).floor == pytest.approx(theory, rel=0.15)


def test_overconfidence_is_found_in_full():
    confidence, _ = calibrated(2000)
    correct = (np.random.default_rng(1).random(2000) < confidence - 0.2).astype(float)
    found = calibration_error(confidence, correct, seed=0)
    assert found.error.estimate == pytest.approx(0.2, abs=0.04)
    assert found.debiased.excludes_zero
    assert found.p_calibrated < 0.01


def test_the_same_seed_gives_the_same_interval():
    data = calibrated(80)
    assert calibration_error(*data, seed=4) == calibration_error(*data, seed=4)


def test_the_reliability_curve():
    confidence = np.array([0.2] * 10 + [0.8] * 10)
    correct = np.array([1.0, 1.0] + [0.0] * 8 + [1.0] * 8 + [0.0] * 2)
    low, high = reliability_curve(confidence, correct, bins=2)
    assert (low.count, low.confidence, low.accuracy) == (10, pytest.approx(0.2), 0.2)
    assert (high.low, high.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert len(reliability_curve(confidence, correct, bins=10, binning="width")) == 2


def test_brier_of_known_answers():
    gold = np.array([0, 1])
    assert brier(np.eye(2), gold).estimate == 0.0
    assert brier(np.eye(2)[::-1].copy(), gold).estimate == 2.0
    assert brier(np.full((2, 4), 0.25), gold).estimate == pytest.approx(0.75)
    assert brier(np.full((2, 4), 0.25), gold).control == "uniform guessing 0.7500"


def test_brier_ignores_options_that_an_item_does_not_have():
    table = np.array([[0.5, 0.5, 7.0], [0.2, 0.3, 0.5]])
    present = np.array([[True, True, False], [True, True, True]])
    found = brier(table, np.array([0, 2]), present=present)
    assert found.estimate == pytest.approx((0.5 + 0.04 + 0.09 + 0.25) / 2)


def test_what_is_refused():
    with pytest.raises(InputError, match="outside"):
        calibration_error(np.array([0.5, 1.2]), np.array([1.0, 0.0]), seed=0)
    with pytest.raises(InputError, match="outside"):
        calibration_error(np.array([0.5, np.nan]), np.array([1.0, 0.0]), seed=0)
    with pytest.raises(InputError, match="as many of both"):
        reliability_curve(np.array([0.5]), np.array([1.0]))
    with pytest.raises(InputError, match="sum to 1"):
        brier(np.full((2, 2), 0.4), np.array([0, 1]))
