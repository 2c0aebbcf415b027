import numpy as np
import pytest

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import Effect, Undefined, dose_response, spearman
from imprint.stats.curve_fits import best_shapes, sigmoid
from imprint.stats.dose_response import Logistic, trend_p

DOSES = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])


def answered(curve, items=400, seed=0, doses=DOSES, noise=0.1):
    """Items that fall in an order of their own as accuracy follows `curve`; a tenth is answered anew at every dose."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(items)
    again = [np.where(rng.random(items) < noise, rng.random(items), hardness) for _ in doses]
    return np.array([(own < curve(dose)).astype(float) for own, dose in zip(again, doses, strict=True)])


def logistic(dose, ec50=0.6, hill=1.5, start=0.9, drop=0.6):
    return start - drop * dose**hill / (dose**hill + ec50**hill)


def test_exact_curve_is_found_exactly():
    truth = Logistic(start=2.0, change=-1.5, ec50=0.6, hill=1.5)
    noise = np.random.default_rng(0).normal(size=50)
    found = dose_response(DOSES, truth.at(DOSES)[:, None] + 0.1 * (noise - noise.mean()), seed=0, metric="log_prob")
    assert found.means == pytest.approx(truth.at(DOSES))
    assert found.logistic.ec50 == pytest.approx(0.6, rel=0.06)  # one step of the grid
    assert found.logistic.start == pytest.approx(2.0, abs=0.02)
    assert found.logistic.change == pytest.approx(-1.5, rel=0.05)
    assert found.ec50.low <= found.ec50.estimate <= found.ec50.high


def test_half_effect_is_covered():
    hits = 0
    for seed in range(20):
        found = dose_response(DOSES, answered(logistic, seed=seed), seed=seed, draws=150)
        assert found.p < 0.01
        assert found.trend.high < 0
        hits += found.ec50.low <= 0.6 <= found.ec50.high
    assert hits >= 17


def test_flat_curves_have_no_half_effect():
    found = [dose_response(DOSES, answered(lambda _: 0.6, seed=seed), seed=seed, draws=20) for seed in range(60)]
    undefined = [isinstance(one.ec50, Undefined) for one in found]
    assert np.mean(undefined) >= 0.93
    assert "no dose-response" in next(one.ec50.reason for one in found if one.p > 0.05)
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.12


def test_items_that_never_move_have_p_one():
    still = np.tile((np.arange(40) < 20).astype(float), (7, 1))
    found = dose_response(DOSES, still, seed=0, draws=50)
    assert found.p == 1.0
    assert isinstance(found.ec50, Undefined)
    assert isinstance(found.rank_correlation, Undefined)
    assert found.trend.estimate == 0.0


def test_half_effect_beyond_the_doses_is_not_extrapolated():
    found = dose_response(DOSES, answered(lambda dose: logistic(dose, ec50=20.0, hill=1.0), items=2000), seed=0)
    assert found.p < 0.01
    assert isinstance(found.ec50, Undefined)
    assert "0.1 to 3.2" in found.ec50.reason


def test_a_jump_between_two_doses_is_placed_no_finer_than_they_are():
    found = dose_response(DOSES, answered(lambda dose: 0.4 if dose > 0.5 else 0.9, noise=0.0), seed=0)
    assert (found.ec50.low, found.ec50.high) == (0.4, 0.8)
    assert "no tested dose lies on the slope" in found.ec50.note


def test_monotone_fit_follows_the_trend():
    falling = dose_response(DOSES, answered(logistic), seed=0, draws=100)
    assert (np.diff(falling.monotone) <= 0).all()
    rising = dose_response(DOSES, 1 - answered(logistic), seed=0, draws=100)
    assert (np.diff(rising.monotone) >= 0).all()
    assert rising.monotone == pytest.approx(1 - falling.monotone)
    assert rising.trend.estimate == pytest.approx(-falling.trend.estimate)
    assert rising.p == falling.p
    assert falling.rank_correlation == spearman(DOSES, falling.means)


def test_order_of_the_doses_does_not_matter():
    table, order = answered(logistic), np.array([3, 0, 6, 2, 5, 1, 4])
    straight, mixed = (
        dose_response(doses, rows, seed=0, draws=100) for doses, rows in ((DOSES, table), (DOSES[order], table[order]))
    )
    assert straight.as_dict() == mixed.as_dict()


def test_shuffled_doses_break_the_trend():
    """The mutation: each item's answers in a random order over doses."""
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(answered(logistic), axis=0)
    assert trend_p(shuffled, seed=0) > 0.05
    assert trend_p(answered(logistic), seed=0) == 1 / 2001


def test_few_doses_have_a_trend_but_no_curve():
    doses = np.array([0.0, 0.5, 1.0, 2.0])
    found = dose_response(doses, answered(logistic, doses=doses), seed=0, draws=100)
    assert isinstance(found.trend, Effect)
    assert "give 5" in found.ec50.reason


def test_refuses_bad_doses():
    table = answered(logistic)
    with pytest.raises(InputError, match="all different"):
        dose_response(np.array([0.0, 0.1, 0.1, 0.4, 0.8, 1.6, 3.2]), table, seed=0)
    with pytest.raises(InputError, match="0 or more"):
        dose_response(-DOSES, table, seed=0)
    with pytest.raises(SelfCheckFailed, match="list of doses"):
        dose_response(np.where(DOSES == 0.4, np.nan, DOSES), table, seed=0)
    with pytest.raises(InputError, match="7 doses but 6 rows"):
        dose_response(DOSES, table[:6], seed=0)


def test_best_shapes_equals_least_squares():
    rng = np.random.default_rng(0)
    bases, curves = rng.normal(size=(5, 7, 2)), rng.normal(size=(3, 7))
    found = best_shapes(bases, curves)
    for number, curve in enumerate(curves):
        sizes = [np.linalg.lstsq(basis, curve, rcond=None)[1][0] for basis in bases]
        assert found.candidate[number] == np.argmin(sizes)
        assert found.residual[number] == pytest.approx(min(sizes))
        exact = np.linalg.lstsq(bases[np.argmin(sizes)], curve, rcond=None)[0]
        assert found.coefficients[number] == pytest.approx(exact)


def test_sigmoid_at_its_landmarks():
    assert sigmoid(np.array([0.0, 2.0, 1e12]), np.array([2.0]), np.array([3.0]))[0] == pytest.approx([0, 0.5, 1])
