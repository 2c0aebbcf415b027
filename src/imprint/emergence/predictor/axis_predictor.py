"""The predictor along one axis: what every source of scores teaches, and the stack that answers its questions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from imprint.emergence.predictor.curve_posterior import CurvePrior, fit_prior
from imprint.emergence.predictor.examples import USED, SeenTwice, examples, features
from imprint.emergence.predictor.frequencies import Frequencies
from imprint.emergence.predictor.members import joined
from imprint.emergence.predictor.stack import AskedRows, Stack, fit_stack
from imprint.emergence.trajectories.curves import Curve
from imprint.emergence.trajectories.history import History
from imprint.emergence.trajectories.questions import Question

MOST_EXAMPLES = 3000
FEWEST_POSITIVES = 3
FEWEST_CURVES = 20
FEWEST_POINTS = 2
OTHERS_MOST = 3000
OTHERS_WEIGHT = 0.2
"""How much an example of another source counts: other suites and model families rise alike, but not the same."""


@dataclass(frozen=True, kw_only=True)
class AxisPredictor:
    """What was learned from the curves along one axis, for each source of scores."""

    curves: tuple[Curve, ...]
    history: History = field(repr=False)
    priors: dict[str, CurvePrior] = field(repr=False)
    examples: dict[str, SeenTwice | None] = field(repr=False)
    """By source."""
    stacks: dict[tuple[str, bool], Stack | None] = field(repr=False)
    """By source, and by whether other lines have the task; each is fitted when it is first needed."""
    frequencies: dict[str, Frequencies] = field(repr=False)
    """By source, and "" for all of them."""
    ends: dict[str, float]
    """log10 of the largest scale, by source."""
    seed: int

    @classmethod
    def fit(cls, known: Sequence[Curve], *, asked: Sequence[Curve] = (), seed: int = 0) -> "AxisPredictor":
        """Learn from curves along one axis.

        `asked` are further curves that questions may be about and that teach nothing. A source learns from its own examples
        and, with less weight, from the others'.
        """
        history = History.of(known, asked=asked)
        sources = sorted({suite(curve.source) for curve in history.curves})
        return cls(
            curves=history.curves,
            history=history,
            priors={source: fit_prior(_own(known, source), seed=seed) for source in sources},
            examples={
                source: _examples(known, source, seed) for source in sorted({suite(curve.source) for curve in known})
            },
            stacks={},
            frequencies=_frequencies(known, sources),
            ends={source: max(float(curve.x[-1]) for curve in _named(known, source)) for source in sources},
            seed=seed,
        )

    def end(self, source: str) -> float:
        """log10 of the largest scale that the history has of the source, or at all where it does not have the source."""
        return self.ends.get(suite(source), max(self.ends.values()))

    def probabilities(self, asked: Sequence[Question]) -> Float[np.ndarray, "question 3"]:
        """Probability, low and high of questions about `curves`."""
        found = np.zeros((len(asked), 3))
        for stack, rows, seen in self._parts(asked):
            p = seen.features[:, USED.index("curve_p")]
            found[rows] = np.stack([p, p / 2, p + (1 - p) / 2], axis=1) if stack is None else stack.predict(seen)
        return found

    def members(self, asked: Sequence[Question]) -> dict[str, Float[np.ndarray, "question"]]:
        """What each member alone says; where nothing could be learned, the curve posterior only."""
        found: dict[str, Float[np.ndarray, "question"]] = {}
        for stack, rows, seen in self._parts(asked):
            alone = {"curve": seen.features[:, USED.index("curve_p")]}
            for name, values in (alone if stack is None else stack.each(seen)).items():
                found.setdefault(name, np.full(len(asked), np.nan))[rows] = values
        return found

    def _parts(self, asked: Sequence[Question]) -> Iterator[tuple[Stack | None, np.ndarray, AskedRows]]:
        """The questions by the stack that answers them."""
        if not asked:
            return
        seen = self._rows(asked)
        source = np.array([suite(self.curves[question.curve].source) for question in asked], dtype=object)
        familiar = seen.features[:, USED.index("task_curves")] > 0
        for name in self.ends:
            for known in (True, False):
                rows = np.flatnonzero((source == name) & (familiar == known))
                if len(rows):
                    yield self._stack(name, known), rows, seen.take(rows)

    def _stack(self, source: str, known: bool) -> Stack | None:
        if (source, known) not in self.stacks:
            self.stacks[(source, known)] = _stack(self.examples, source, known, self.seed)
        return self.stacks[(source, known)]

    def _rows(self, asked: Sequence[Question]) -> AskedRows:
        points = [(self.curves[question.curve], question.count - 1) for question in asked]
        return AskedRows(
            features=self.features(asked),
            threshold=np.array([curve.threshold[place] for curve, place in points], dtype=float),
            last=np.array([curve.z[place] for curve, place in points], dtype=float),
            frequency=np.array([self._voice(question) for question in asked], dtype=float),
            beyond=np.array([self._beyond(curve, q.horizon) for (curve, _), q in zip(points, asked, strict=True)]),
        )

    def frequency(self, question: Question) -> float:
        """How often such abilities emerge, by the history of the source without the question's own curve."""
        curve = self.curves[question.curve]
        return self.frequencies[suite(curve.source)].at(
            task=curve.task,
            family=curve.family,
            shots=curve.shots,
            origin=float(curve.x[question.count - 1]),
            horizon=question.horizon,
            without=question.curve,
        )[0]

    def _voice(self, question: Question) -> float:
        """The frequency, or nan along tokens: checkpoints of a model differ too little, it lowered both tables of them."""
        return float("nan") if self.curves[question.curve].axis == "tokens" else self.frequency(question)

    def _beyond(self, curve: Curve, horizon: float) -> float:
        """Decades between the end of the source's history and the horizon; 0 along tokens: there models are new."""
        return 0.0 if curve.axis == "tokens" else max(horizon - self.end(curve.source), 0.0)

    def features(self, asked: Sequence[Question]) -> Float[np.ndarray, "question feature"]:
        """What the members see of the questions."""
        return features(self.history, self.curves, asked, lambda curve: self.priors[suite(curve.source)])


def suite(source: str) -> str:
    """What sources are learned together: those of one repository ("owner/name", before the first space)."""
    return source.split(" ", 1)[0]


def _frequencies(known: Sequence[Curve], sources: Sequence[str]) -> dict[str, Frequencies]:
    every = Frequencies.of(known)
    places: dict[str, list[int]] = defaultdict(list)
    for place, curve in enumerate(known):
        places[suite(curve.source)].append(place)
    return {"": every} | {source: every.about(places[source]) for source in sources}


def _named(known: Sequence[Curve], source: str) -> list[Curve]:
    """The source's curves, or all where it has none."""
    return [curve for curve in known if suite(curve.source) == source] or list(known)


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
