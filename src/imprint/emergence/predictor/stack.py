"""The stack: members of several kinds joined with fixed weights, and an interval from how far they disagree."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Float

from imprint.emergence.predictor.examples import USED
from imprint.emergence.predictor.members import (
    LARGE,
    SMALL,
    Examples,
    Features,
    Member,
    Vector,
    boosted,
    boosted_margin,
    forest,
    processes,
)
from imprint.emergence.predictor.views import UP, plain, relative, relative_and_shots, whole

LEAST = 0.003
"""No answer is more certain than this."""
FLOOR_VARIANCE = 0.05
"""Variance of a logit that agreement between members cannot take away."""
BEYOND = 1.0
"""Log odds a decade of scale beyond the history: its examples end there, the rise of abilities does not."""
FARTHEST_BEYOND = 1.5
FITS: dict[str, Callable[..., Member]] = {
    "boosted": partial(boosted, view=relative, rising=UP, shape=SMALL),
    "boosted_absolute": partial(boosted, view=whole, rising=None, shape=LARGE),
    "boosted_margin": partial(boosted_margin, view=relative, rising=UP),
    "process": partial(processes, view=relative),
    "plain_process": partial(processes, view=plain),
    "boosted_plain": partial(boosted, view=plain, rising=None, shape=LARGE),
    "forest": partial(forest, view=relative_and_shots),
    "plain_forest": partial(forest, view=plain),
}
WEIGHTS = {**dict.fromkeys(FITS, 1.0), "frequency": 1.0, "curve": 0.5}
"""Fixed: weights learned from held-out tasks or later scales of the history did worse on six of nine splits."""


@dataclass(frozen=True, kw_only=True)
class AskedRows:
    """Questions as the stack sees them."""

    features: Features
    threshold: Vector
    last: Vector
    """The last score that was seen."""
    frequency: Vector
    """How often such abilities emerge, by the history without the question's own curve; nan: it has no voice."""
    beyond: Vector
    """Decades between the end of the history and the horizon; 0 within it."""

    def __len__(self) -> int:
        """How many."""
        return len(self.threshold)

    def take(self, rows: np.ndarray) -> "AskedRows":
        """Some of them."""
        return AskedRows(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Fitted members; the curve posterior comes with the features, the frequency from the history."""

    members: dict[str, Member] = field(repr=False)

    def each(self, asked: AskedRows) -> dict[str, Vector]:
        """What every member says."""
        said = {name: member(asked.features, asked.threshold, asked.last) for name, member in self.members.items()}
        known = {"curve": asked.features[:, USED.index("curve_p")], "frequency": asked.frequency}
        return said | {name: values for name, values in known.items() if not np.isnan(values).any()}

    def predict(self, asked: AskedRows) -> Float[np.ndarray, "question 3"]:
        """Probability, low and high end of the 95 % interval."""
        said = self.each(asked)
        share = np.array([WEIGHTS[name] for name in said])
        share = share / share.sum()
        voices = np.clip(np.stack(list(said.values())), LEAST, 1 - LEAST)
        p = share @ voices
        logits = np.log(voices / (1 - voices))
        p = np.array([later(one, beyond) for one, beyond in zip(p, asked.beyond, strict=True)])
        centre = np.log(p / (1 - p))
        half = 1.96 * np.sqrt(share @ (logits - share @ logits) ** 2 / len(said) + FLOOR_VARIANCE)
        return np.stack([1 / (1 + np.exp(-centre - by)) for by in (0.0, -half, half)], axis=1)


def later(p: float, beyond: float) -> float:
    """The probability at a horizon so many decades beyond the history, from what the history's last scales say."""
    kept = min(max(p, 1e-9), 1 - 1e-9)
    return float(1 / (1 + (1 - kept) / kept * np.exp(-BEYOND * min(beyond, FARTHEST_BEYOND))))


def fit_stack(found: Examples, *, seed: int) -> Stack:
    """Fit every member on all examples."""
    return Stack(members={name: fit(found, seed=seed) for name, fit in FITS.items()})
