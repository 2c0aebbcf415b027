"""The held-out scale: predicted from the trained ones, then trained, and the two compared."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from imprint.emergence.predictor import Asked, Prediction, predict_table
from imprint.emergence.trajectories import curves, known_questions
from imprint.emergence.trajectories.curves import Curve
from imprint.errors import InputError
from imprint.stats import Effect, Hypothesis, Undefined, auc_effect, bootstrap_mean, judge, paired_permutation
from imprint.stats.ranking import auc
from imprint.stats.resampling import permutation_of_labels
from imprint.studies.emergence.config import EmergenceStudy
from imprint.studies.emergence.hypotheses import AUC, SKILL
from imprint.studies.emergence.observed import SOURCE
from imprint.studies.examined import Examined, NotExamined

_EITHER = 0.5
_FEWEST = 2
"""Abilities that came, and that did not, below which an area under the curve has no interval."""
_FEWEST_SCALES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """One ability under one arm: what was predicted before the held-out scale was trained, and what came."""

    arm: str
    ability: str
    p: float
    p_low: float
    p_high: float
    model: str
    persistence: float
    """The mean chance-corrected score at the largest trained scale: the simplest way to rank."""
    emerged: float
    """Share of the held-out seeds in which the ability was there."""
    seeds: int

    @property
    def there(self) -> bool:
        """Whether it was there in half of the seeds or more."""
        return self.emerged >= _EITHER


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionFinding:
    """All forecasts, and how good they are beside the base rate and persistence; the unit is an ability under an arm."""

    forecasts: tuple[Forecast, ...]
    base_rate: float
    """Share of abilities not there yet that were there at the next trained scale or a later one."""
    auc: Effect | Undefined
    auc_p: float
    persistence_auc: float
    brier: float
    brier_base_rate: float
    skill: Effect
    """Brier score of the base rate minus that of the predictions; positive: the predictions are better."""
    skill_p: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        area = self.auc
        return {
            "base_rate": self.base_rate,
            "auc": area.as_dict() if isinstance(area, Effect) else {"undefined": area.reason},
            "auc_p": self.auc_p,
            "persistence_auc": self.persistence_auc,
            "brier": self.brier,
            "brier_base_rate": self.brier_base_rate,
            "skill": self.skill.as_dict(),
            "skill_p": self.skill_p,
            "forecasts": [asdict(one) for one in self.forecasts],
        }


def predict_scale(
    history: pl.DataFrame, params: float, *, variants: Collection[str] | None = None, seed: int = 0
) -> tuple[Prediction, ...] | Undefined:
    """P(there at a model of `params`) for every ability, arm and seed (`variants`) whose ability is at no scale of the history.

    `history` holds smaller scales only.
    """
    asked = questions(history, params, variants)
    if not asked:
        return Undefined(reason="every ability is there at a trained scale already, so there is nothing to predict")
    try:
        return predict_table(history, asked, seed=seed).predictions
    except InputError as error:
        return Undefined(reason=str(error))


def predict_held_out(study: EmergenceStudy, history: pl.DataFrame, params: int) -> tuple[Prediction, ...] | Undefined:
    """The predictions about the held-out scale; none of its runs has been trained when this is called."""
    assert study.held_out is not None
    variants = {f"seed {seed}" for seed in study.run_seeds[: study.held_out.seeds]}
    return predict_scale(history, float(params), variants=variants, seed=study.seed)


def backtest(study: EmergenceStudy, history: pl.DataFrame) -> PredictionFinding | Undefined:
    """The largest trained scale, predicted from the smaller ones alone and compared with what came.

    Trust: that scale's scores do not reach the predictions, but it had been trained when they were made.
    """
    scales = sorted(set(history["params"]))
    if len(scales) < _FEWEST_SCALES:
        return Undefined(reason=f"{len(scales)} trained scales: the last is predicted from two smaller ones or more")
    known, last = history.filter(pl.col("params") < scales[-1]), history.filter(pl.col("params") == scales[-1])
    predictions = predict_scale(known, scales[-1], seed=study.seed)
    return predictions if isinstance(predictions, Undefined) else compare_with_outcome(study, predictions, known, last)


def questions(history: pl.DataFrame, params: float, variants: Collection[str] | None = None) -> list[Asked]:
    """One question a curve over scale that has not emerged; its id is arm / ability / variant."""
    return [
        Asked(
            question_id=_name(curve),
            source=SOURCE,
            family=curve.family,
            task=curve.task,
            shots=0.0,
            variant=curve.variant,
            axis="params",
            origin=float(10 ** curve.x[-1]),
            horizon=float(params),
        )
        for curve in curves(history, "params")
        if (variants is None or curve.variant in variants) and not curve.emerged.any()
    ]


def _name(curve: Curve) -> str:
    return f"{curve.family} / {curve.task} / {curve.variant}"


def compare_with_outcome(
    study: EmergenceStudy,
    predictions: Sequence[Prediction],
    history: pl.DataFrame,
    held_out: pl.DataFrame,
) -> PredictionFinding | Undefined:
    """The predictions beside what the held-out runs showed, both as trajectory tables; Undefined for a single forecast."""
    came = {_name(curve): curve for curve in curves(held_out, "params")}
    before = {_name(curve): curve for curve in curves(history, "params")}
    cells: dict[tuple[str, str], list[Prediction]] = {}
    for one in predictions:
        curve = before[one.question_id]
        cells.setdefault((curve.family, curve.task), []).append(one)
    forecasts = tuple(_forecast(arm, ability, part, before, came) for (arm, ability), part in cells.items())
    if len(forecasts) < _FEWEST:
        only = forecasts[0]
        told = f"{only.ability} under {only.arm}: predicted {only.p:.2f}, there in {only.emerged:.0%} of the seeds"
        return Undefined(reason=f"one forecast judges nothing ({told})")
    return _judged(study, forecasts, base_rate(list(before.values())))


def base_rate(known: Sequence[Curve]) -> float:
    """How often an ability that was not there by one trained scale was there at a later one; .5 where none was asked."""
    asked = known_questions(known, fewest=1)
    return float(np.mean([question.emerged for question in asked])) if asked else _EITHER


def _forecast(
    arm: str, ability: str, part: Sequence[Prediction], before: dict[str, Curve], came: dict[str, Curve]
) -> Forecast:
    names = [one.question_id for one in part]
    models = sorted({one.model for one in part})
    return Forecast(
        arm=arm,
        ability=ability,
        p=float(np.mean([one.p for one in part])),
        p_low=float(np.mean([one.p_low for one in part])),
        p_high=float(np.mean([one.p_high for one in part])),
        model=", ".join(models),
        persistence=float(np.mean([before[name].z[-1] for name in names])),
        emerged=float(np.mean([bool(came[name].emerged[-1]) for name in names])),
        seeds=len(part),
    )


def _judged(study: EmergenceStudy, forecasts: tuple[Forecast, ...], base: float) -> PredictionFinding:
    said = np.array([one.p for one in forecasts])
    shares = np.array([one.emerged for one in forecasts])
    there = shares >= _EITHER
    ours, theirs = (said - shares) ** 2, (base - shares) ** 2
    area, area_p = _area(said, there, seed=study.seed)
    return PredictionFinding(
        forecasts=forecasts,
        base_rate=base,
        auc=area,
        auc_p=area_p,
        persistence_auc=_plain_area(np.array([one.persistence for one in forecasts]), there),
        brier=float(ours.mean()),
        brier_base_rate=float(theirs.mean()),
        skill=bootstrap_mean(
            theirs - ours,
            seed=study.seed,
            unit="task",
            control_name="the base rate",
            metric=SKILL,
        ),
        skill_p=paired_permutation(theirs, ours, seed=study.seed, alternative="greater"),
    )


def _area(
    said: Float[np.ndarray, " cell"], there: Bool[np.ndarray, " cell"], *, seed: int
) -> tuple[Effect | Undefined, float]:
    fewest = int(min(there.sum(), (~there).sum()))
    if fewest < _FEWEST:
        told = f"{int(there.sum())} of the {len(there)} abilities asked about were there"
        return Undefined(reason=f"{told}: ranks cannot be judged with fewer than {_FEWEST} of each"), 1.0
    effect = auc_effect(said, there, seed=seed, unit="task", metric=AUC)
    p = permutation_of_labels(said, there, lambda values, labels: auc(values, labels), seed=seed, alternative="greater")
    return effect, p


def _plain_area(said: Float[np.ndarray, " cell"], there: Bool[np.ndarray, " cell"]) -> float:
    return float("nan") if there.all() or not there.any() else auc(said, there)


def judge_prediction(hypothesis: Hypothesis, found: PredictionFinding | Undefined) -> Examined:
    """The verdict of a hypothesis about the predictions."""
    if isinstance(found, Undefined):
        return NotExamined.of(hypothesis, found.reason)
    if hypothesis.metric == SKILL:
        return judge(hypothesis, found.skill, found.skill_p)
    if isinstance(found.auc, Undefined):
        return NotExamined.of(hypothesis, found.auc.reason)
    return judge(hypothesis, found.auc, found.auc_p)
