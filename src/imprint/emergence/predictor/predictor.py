"""The predictor of emergence: curve posteriors, boosted trees and Gaussian processes, joined into one answer."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Float

from imprint.emergence.predictor.asked import Asked, match
from imprint.emergence.predictor.curve_posterior import CurvePrior, fit_prior
from imprint.emergence.predictor.examples import USED, SeenTwice, examples, features
from imprint.emergence.predictor.fallback import Frequencies
from imprint.emergence.predictor.members import joined
from imprint.emergence.predictor.stack import Stack, fit_stack
from imprint.emergence.trajectories.curves import Axis, Curve, curves
from imprint.emergence.trajectories.history import History
from imprint.emergence.trajectories.questions import Question
from imprint.errors import InputError

MODEL = "imprint-stack-1"
ABSTAIN = "abstain"
MOST_EXAMPLES = 3000
FARTHEST_REACH = 1.5
"""Decades beyond the largest scale of the history from which no answer is given as known."""
FEWEST_POSITIVES = 3
FEWEST_CURVES = 20
FEWEST_POINTS = 2
OTHERS_MOST = 3000
OTHERS_WEIGHT = 0.2
"""How much an example of another source counts: other suites and model families rise alike, but not the same."""


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
class AxisPredictor:
    """What was learned from the curves along one axis, for each source of scores."""

    curves: tuple[Curve, ...]
    history: History = field(repr=False)
    priors: dict[str, CurvePrior] = field(repr=False)
    stacks: dict[tuple[str, bool], Stack | None] = field(repr=False)
    """By source, and by whether other lines have the task."""
    frequencies: Frequencies = field(repr=False)
    reach: float
    """log10 of the largest scale."""

    @classmethod
    def fit(
        cls, known: Sequence[Curve], *, asked: Sequence[Curve] = (), sources: Collection[str] = (), seed: int = 0
    ) -> "AxisPredictor":
        """Learn from curves along one axis.

        `asked` are further curves that questions may be about and that teach nothing; `sources` limits the fitting to what
        will be asked about (by default all). A source learns from its own examples and, with less weight, from the others'.
        """
        history = History.of(known, asked=asked)
        parts = {source: _examples(known, source, seed) for source in sorted({suite(curve.source) for curve in known})}
        wanted = sorted({suite(source) for source in sources} or {suite(curve.source) for curve in history.curves})
        return cls(
            curves=history.curves,
            history=history,
            priors={source: fit_prior(_own(known, source), seed=seed) for source in wanted},
            stacks={
                (source, known): _stack(parts, source, known, seed) for source in wanted for known in (True, False)
            },
            frequencies=Frequencies.of(known),
            reach=max(float(curve.x[-1]) for curve in known),
        )

    def probabilities(self, asked: Sequence[Question]) -> Float[np.ndarray, "question 3"]:
        """Probability, low and high of questions about `curves`."""
        found = np.zeros((len(asked), 3))
        for stack, rows, seen, levels in self._parts(asked):
            p = seen[:, USED.index("curve_p")]
            alone = np.stack([p, p / 2, p + (1 - p) / 2], axis=1)
            found[rows] = alone if stack is None else stack.predict(seen, *levels)
        return found

    def members(self, asked: Sequence[Question]) -> dict[str, Float[np.ndarray, "question"]]:
        """What each member alone says; where nothing could be learned, the curve posterior only."""
        found: dict[str, Float[np.ndarray, "question"]] = {}
        for stack, rows, seen, levels in self._parts(asked):
            alone = {"curve": seen[:, USED.index("curve_p")]}
            for name, values in (alone if stack is None else stack.each(seen, *levels)).items():
                found.setdefault(name, np.full(len(asked), np.nan))[rows] = values
        return found

    def _parts(
        self, asked: Sequence[Question]
    ) -> Iterator[tuple[Stack | None, np.ndarray, Float[np.ndarray, "part feature"], tuple[np.ndarray, np.ndarray]]]:
        """The questions by the stack that answers them: rows, features, thresholds and last scores."""
        if not asked:
            return
        seen = self.features(asked)
        source = np.array([suite(self.curves[question.curve].source) for question in asked], dtype=object)
        familiar = seen[:, USED.index("task_curves")] > 0
        points = [(self.curves[question.curve], question.count - 1) for question in asked]
        bar = np.array([curve.threshold[place] for curve, place in points], dtype=float)
        last = np.array([curve.z[place] for curve, place in points], dtype=float)
        for (name, known), stack in self.stacks.items():
            rows = np.flatnonzero((source == name) & (familiar == known))
            if len(rows):
                yield stack, rows, seen[rows], (bar[rows], last[rows])

    def features(self, asked: Sequence[Question]) -> Float[np.ndarray, "question feature"]:
        """What the members see of the questions."""
        return features(self.history, self.curves, asked, lambda curve: self.priors[suite(curve.source)])


def suite(source: str) -> str:
    """What sources are learned together: those of one repository ("owner/name", before the first space)."""
    return source.split(" ", 1)[0]


def _own(known: Sequence[Curve], source: str) -> list[Curve]:
    """The source's curves, or all where it has too few to say what is common."""
    own = [curve for curve in known if suite(curve.source) == source and len(curve) > 1]
    return own if len(own) >= FEWEST_CURVES else [curve for curve in known if len(curve) > 1] or list(known)


def _examples(known: Sequence[Curve], source: str, seed: int) -> SeenTwice | None:
    own = [curve for curve in known if suite(curve.source) == source and len(curve) > 1]
    return examples(own, most=MOST_EXAMPLES, seed=seed) if any(len(curve) > FEWEST_POINTS for curve in own) else None


def _stack(sets: dict[str, SeenTwice | None], source: str, known: bool, seed: int) -> Stack | None:
    """Learned from the source's examples and a share of the others'; None where there are too few of either answer."""
    parts = {name: part.familiar if known else part.unknown for name, part in sets.items() if part is not None}
    own = parts.get(source)
    generator = np.random.default_rng(seed)
    others = [
        part.take(np.sort(generator.choice(len(part), min(OTHERS_MOST, len(part)), replace=False)))
        for name, part in parts.items()
        if name != source
    ]
    weight = 1.0 if own is None else OTHERS_WEIGHT
    pooled = [*([] if own is None else [own]), *(part.scaled(weight) for part in others)]
    found = joined(pooled) if pooled else None
    if found is None:
        return None
    positives = len(np.unique(found.question[found.emerged > 0]))
    negatives = len(np.unique(found.question[found.emerged == 0]))
    return fit_stack(found, seed=seed) if min(positives, negatives) >= FEWEST_POSITIVES else None


@dataclass(frozen=True, kw_only=True)
class EmergencePredictor:
    """P(an ability emerges by a scale | its curve so far), learned from a table of trajectories and nothing else.

    Trust: calibrated on the history it was given; a horizon far beyond its scales, or a task unlike its tasks, is an
    extrapolation, and where there is nothing to go on the answer says "abstain".
    """

    by_axis: dict[Axis, AxisPredictor]

    @classmethod
    def fit(
        cls, table: pl.DataFrame, axes: Sequence[Axis], *, sources: Collection[str] = (), seed: int = 0
    ) -> "EmergencePredictor":
        """Learn from a checked table (`trajectories`) along each axis, for the sources that are asked about (or all).

        Raises:
            InputError: on an axis every ability has emerged everywhere, or none anywhere.
        """
        fitted: dict[Axis, AxisPredictor] = {}
        for axis in dict.fromkeys(axes):
            known = curves(table, axis)
            if not known:
                raise InputError(f"the history has no scores along '{axis}': its column '{axis}' is empty")
            _require_both(known, axis)
            there = {curve.source for curve in known}
            fitted[axis] = AxisPredictor.fit(known, sources=there & set(sources) or there, seed=seed)
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
        p, low, high = fitted.frequencies.at(task=question.task, family=question.family, horizon=question.end)
        model = ABSTAIN
    else:
        p = float(values[:, 0].mean())
        low, high = float(values[:, 1].min()), float(values[:, 2].max())
        far = question.end - fitted.reach > FARTHEST_REACH
        model = ABSTAIN if far else MODEL
        reason = f"the history ends {question.end - fitted.reach:.1f} decades before the horizon" if far else ""
    return Prediction(question_id=question.question_id, p=p, p_low=low, p_high=high, model=model, reason=reason)
