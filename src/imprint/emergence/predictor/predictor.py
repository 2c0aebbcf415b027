"""The predictor of emergence: curve posteriors, trees, forests and Gaussian processes, joined into one answer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from imprint.emergence.predictor.asked import Asked, match
from imprint.emergence.predictor.axis_predictor import AxisPredictor, suite
from imprint.emergence.predictor.stack import later
from imprint.emergence.trajectories.curves import Axis, Curve, curves
from imprint.emergence.trajectories.questions import Question
from imprint.errors import InputError

MODEL = "imprint-stack-1"
ABSTAIN = "abstain"
FARTHEST_REACH = 1.5
"""Decades beyond the largest scale of the history from which no answer is given as known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The probability that the ability is there at the horizon, its 95 % interval, and what gave it.

    `model` is "abstain" where the history has nothing of the curve, or ends long before the horizon; `reason` says why.
    """

    question_id: str
    p: float
    p_low: float
    p_high: float
    model: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class EmergencePredictor:
    """P(an ability emerges by a scale | its curve so far), learned from a table of trajectories and nothing else.

    Trust: calibrated on the history it was given; a horizon far beyond its scales, or a task unlike its tasks, is an
    extrapolation, and where there is nothing to go on the answer says "abstain".
    """

    by_axis: dict[Axis, AxisPredictor]

    @classmethod
    def fit(cls, table: pl.DataFrame, axes: Sequence[Axis], *, seed: int = 0) -> "EmergencePredictor":
        """Learn from a checked table (`trajectories`) along each axis.

        Raises:
            InputError: on an axis every ability has emerged everywhere, or none anywhere.
        """
        fitted: dict[Axis, AxisPredictor] = {}
        for axis in dict.fromkeys(axes):
            known = curves(table, axis)
            if not known:
                raise InputError(f"the history has no scores along '{axis}': its column '{axis}' is empty")
            _require_both(known, axis)
            fitted[axis] = AxisPredictor.fit(known, seed=seed)
        return cls(by_axis=fitted)

    def predict(self, asked: Sequence[Asked]) -> tuple[Prediction, ...]:
        """One prediction a question, in order."""
        answers: dict[int, Prediction] = {}
        for axis, fitted in self.by_axis.items():
            places = [place for place, question in enumerate(asked) if question.axis == axis]
            answers |= dict(zip(places, _answers(fitted, [asked[place] for place in places]), strict=True))
        return tuple(answers[place] for place in range(len(asked)))


def _require_both(known: Sequence[Curve], axis: str) -> None:
    states = np.concatenate([curve.emerged for curve in known])
    if states.all() or not states.any():
        word = "every ability has emerged at every point" if states.all() else "no ability has emerged at any point"
        raise InputError(
            f"the history has one class only: along '{axis}' {word}, so nothing can be learned about when abilities emerge"
        )


def _answers(fitted: AxisPredictor, asked: Sequence[Asked]) -> list[Prediction]:
    by_task: dict[str, list[int]] = defaultdict(list)
    for index, curve in enumerate(fitted.curves):
        by_task[curve.task].append(index)
    matches = [match(question, fitted.curves, by_task) for question in asked]
    flat = [
        (place, Question(curve=index, count=count, horizon=asked[place].end, emerged=False, z=float("nan")))
        for place, found in enumerate(matches)
        for index, count in found.curves
    ]
    values = fitted.probabilities([question for _, question in flat])
    rows: dict[int, list[int]] = defaultdict(list)
    for row, (place, _) in enumerate(flat):
        rows[place].append(row)
    return [
        _prediction(fitted, question, matches[place].reason, values[rows[place]] if rows[place] else None)
        for place, question in enumerate(asked)
    ]


def _prediction(
    fitted: AxisPredictor, question: Asked, reason: str, values: Float[np.ndarray, "curve 3"] | None
) -> Prediction:
    if values is None:
        near = fitted.frequencies.get(suite(question.source), fitted.frequencies[""])
        beyond = 0.0 if question.axis == "tokens" else max(question.end - fitted.end(question.source), 0.0)
        p, low, high = near.at(
            task=question.task,
            family=question.family,
            shots=question.shots,
            origin=question.start,
            horizon=question.end,
        )
        p, low, high = (later(one, beyond) for one in (p, low, high))
        model = ABSTAIN
    else:
        p = float(values[:, 0].mean())
        low, high = float(values[:, 1].min()), float(values[:, 2].max())
        ahead = question.end - fitted.end(question.source)
        far = ahead > FARTHEST_REACH
        model = ABSTAIN if far else MODEL
        reason = f"the history ends {ahead:.1f} decades before the horizon" if far else ""
    return Prediction(question_id=question.question_id, p=p, p_low=low, p_high=high, model=model, reason=reason)
