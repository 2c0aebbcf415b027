import polars as pl
import pytest
from tiny_emergence import PARAMS, study, table

from imprint.emergence.allocation import OURS
from imprint.emergence.predictor import Prediction
from imprint.emergence.trajectories import curves
from imprint.runs import silent
from imprint.stats import Effect, Undefined
from imprint.studies.emergence.hypotheses import AUC, SAVING, SKILL
from imprint.studies.emergence.observed import history
from imprint.studies.emergence.policies import UNIFORM, compare_policies, judge_allocation
from imprint.studies.emergence.prediction import (
    backtest,
    base_rate,
    compare_with_outcome,
    judge_prediction,
    predict_held_out,
    questions,
)

FLAT, UP, SLOW = (0.0, 0.0, 0.0, 0.0), (0.0, 0.1, 0.8, 0.9), (0.0, 0.0, 0.1, 0.5)
ARMS = ("control", "few repeats", "no heads")
TRAINED = {
    "s": {arm: {"copy": FLAT, "brackets": FLAT} for arm in ARMS},
    "m": {
        "control": {"copy": FLAT, "brackets": UP},
        "few repeats": {"copy": FLAT, "brackets": UP},
        "no heads": {"copy": FLAT, "brackets": FLAT},
    },
}
CAME = {
    "l": {
        "control": {"copy": UP, "brackets": UP},
        "few repeats": {"copy": FLAT, "brackets": UP},
        "no heads": {"copy": UP, "brackets": FLAT},
    }
}


@pytest.fixture(scope="module")
def scores():
    return history(table(TRAINED, seeds=(0, 1))), history(table(CAME, seeds=(0, 1)))


def said(scores, chances):
    """Predictions with a chance for each (arm, ability)."""
    names = [question.question_id for question in questions(scores, PARAMS["l"], {"seed 0", "seed 1"})]
    return [
        Prediction(question_id=name, p=p, p_low=p / 2, p_high=(1 + p) / 2, model="told")
        for name in names
        for p in [chances[tuple(name.split(" / ")[:2])]]
    ]


TRUTH = {
    ("control", "copy"): 1.0,
    ("few repeats", "copy"): 0.0,
    ("no heads", "copy"): 1.0,
    ("no heads", "brackets"): 0.0,
}


def test_only_abilities_that_are_nowhere_yet_are_asked_about(scores):
    asked = questions(scores[0], PARAMS["l"], {"seed 0", "seed 1"})
    assert {tuple(one.question_id.split(" / ")[:2]) for one in asked} == set(TRUTH)
    assert {(one.axis, round(one.origin), one.horizon) for one in asked} == {("params", 100_000, 1e6)}
    assert len(asked) == 2 * len(TRUTH)


def test_a_perfect_forecaster_has_brier_zero_and_a_constant_one_its_own(scores):
    known, came = scores
    perfect = compare_with_outcome(study(), said(known, TRUTH), known, came)
    assert perfect.brier == 0.0
    assert isinstance(perfect.auc, Effect)
    assert perfect.auc.estimate == 1.0
    assert {(one.arm, one.ability): one.there for one in perfect.forecasts} == {k: bool(v) for k, v in TRUTH.items()}
    level = compare_with_outcome(study(), said(known, dict.fromkeys(TRUTH, 0.3)), known, came)
    assert level.brier == pytest.approx((0.7**2 + 0.3**2) / 2)
    assert level.auc.estimate == 0.5
    turned = compare_with_outcome(study(), said(known, {key: 1 - value for key, value in TRUTH.items()}), known, came)
    assert turned.brier == 1.0
    assert turned.auc.estimate == 0.0


def test_the_base_rate_is_that_of_the_trained_scales(scores):
    known = curves(scores[0], "params")
    assert base_rate(known) == pytest.approx(4 / 12)
    assert base_rate([]) == 0.5


def test_one_class_leaves_no_ranking_but_a_brier_score(scores):
    known, _ = scores
    nothing = {"l": {arm: {"copy": FLAT, "brackets": FLAT} for arm in ARMS}}
    found = compare_with_outcome(study(), said(known, TRUTH), known, history(table(nothing, seeds=(0, 1))))
    assert isinstance(found.auc, Undefined)
    assert "0 of the 4 abilities" in found.auc.reason
    assert found.brier == pytest.approx(0.5)
    verdicts = {one.metric: judge_prediction(one, found) for one in study().hypotheses if one.metric != SAVING}
    assert "0 of the 4" in verdicts[AUC].reason
    assert verdicts[SKILL].verdict in ("refuted", "inconclusive")


def test_one_ability_that_came_is_too_few_to_rank(scores):
    known, _ = scores
    single = {"l": {arm: {"copy": FLAT, "brackets": FLAT} for arm in ARMS}}
    single["l"]["control"] = {"copy": UP, "brackets": FLAT}
    found = compare_with_outcome(study(), said(known, TRUTH), known, history(table(single, seeds=(0, 1))))
    assert "1 of the 4 abilities" in found.auc.reason
    assert found.brier == pytest.approx(0.25)


def test_one_forecast_judges_nothing(scores):
    known, came = scores
    single = [one for one in said(known, TRUTH) if one.question_id.startswith("control / copy")]
    found = compare_with_outcome(study(), single, known, came)
    assert (
        found.reason == "one forecast judges nothing (copy under control: predicted 1.00, there in 100% of the seeds)"
    )


def test_the_shipped_predictor_answers_with_what_it_knows(scores):
    predictions = predict_held_out(study(), scores[0], int(PARAMS["l"]))
    assert len(predictions) == 8
    assert all(0 < one.p_low <= one.p <= one.p_high < 1 for one in predictions)


def test_nothing_is_predicted_where_everything_is_there_or_nothing_ever_came(scores):
    everywhere = {"m": {arm: {"copy": UP, "brackets": UP} for arm in ARMS}}
    found = predict_held_out(study(), history(table(everywhere, seeds=(0, 1))), int(PARAMS["l"]))
    assert "nothing to predict" in found.reason
    nowhere = {scale: {arm: {"copy": FLAT, "brackets": FLAT} for arm in ARMS} for scale in ("s", "m")}
    found = predict_held_out(study(), history(table(nowhere, seeds=(0, 1))), int(PARAMS["l"]))
    assert "no score of source 'imprint' varies" in found.reason


def test_the_largest_trained_scale_is_predicted_from_the_smaller_ones(scores):
    """Its own scores reach no prediction: replaced by their opposite, the same is said and the score of it turns round."""
    both = pl.concat(scores)
    found = backtest(study(), both)
    assert {(one.arm, one.ability) for one in found.forecasts} == set(TRUTH)
    assert {(one.arm, one.ability): one.there for one in found.forecasts} == {k: bool(v) for k, v in TRUTH.items()}
    last = pl.col("params") == PARAMS["l"]
    opposite = pl.when(pl.col("score") > pl.col("chance") + 0.3).then(pl.col("chance")).otherwise(1.0)
    turned = both.with_columns(score=pl.when(last).then(opposite).otherwise("score"))
    other = backtest(study(), turned)
    assert [one.p for one in other.forecasts] == [one.p for one in found.forecasts]
    assert [one.there for one in other.forecasts] == [not one.there for one in found.forecasts]
    assert "two smaller ones" in backtest(study(), scores[0]).reason


# Allocation


def test_policies_pay_at_least_what_the_oracle_pays():
    learned = {
        "s": {arm: {"copy": SLOW, "brackets": SLOW} for arm in ARMS},
        "m": {arm: {"copy": UP, "brackets": UP} for arm in ARMS},
    }
    found = compare_policies(study(), history(table(learned)), silent)
    assert dict(found.over_oracle)["oracle"].estimate == pytest.approx(1.0)
    assert all(effect.estimate >= 1 - 1e-9 for _, effect in found.over_oracle)
    estimates = [effect.estimate for _, effect in found.over_oracle]
    assert estimates == sorted(estimates)
    assert {OURS, UNIFORM} <= {name for name, _ in found.over_oracle}
    assert (found.abilities, found.arms) == (("brackets", "copy"), 6)
    ratio = dict(found.over_oracle)[UNIFORM].estimate / dict(found.over_oracle)[OURS].estimate
    assert found.saving.estimate == pytest.approx(ratio, rel=0.01)
    verdict = judge_allocation(study().hypotheses[-1], found)
    assert verdict.statistic == found.saving.estimate


def test_without_a_rising_ability_no_policy_is_compared():
    nothing = {scale: {arm: {"copy": FLAT, "brackets": FLAT} for arm in ARMS} for scale in ("s", "m")}
    found = compare_policies(study(), history(table(nothing)), silent)
    assert isinstance(found, Undefined)
    assert judge_allocation(study().hypotheses[-1], found).reason == found.reason


def test_seeds_are_averaged_before_arms_compete():
    """Scores that differ between seeds only in opposite directions leave every policy where it was."""
    worlds = {"s": TRAINED["s"], "m": {arm: {"copy": UP, "brackets": UP} for arm in ARMS}}
    rows = history(table(worlds, seeds=(0, 1), jitter=0.0))
    sign = pl.when(pl.col("variant") == "seed 0").then(0.01).otherwise(-0.01)
    spread = rows.with_columns(score=pl.col("score") + sign)
    one, other = (compare_policies(study(), part, silent) for part in (rows, spread))
    assert one.saving.estimate == pytest.approx(other.saving.estimate)
