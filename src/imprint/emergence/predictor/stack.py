"""The stack: members of several kinds joined with fixed weights, and an interval from how far they disagree."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Float

from imprint.emergence.predictor.examples import ABSOLUTE, USED
from imprint.emergence.predictor.members import (
    LARGE,
    SMALL,
    Examples,
    Features,
    Member,
    Vector,
    boosted,
    boosted_margin,
    processes,
)

LEAST = 0.003
"""No answer is more certain than this."""
FLOOR_VARIANCE = 0.05
"""Variance of a logit that agreement between members cannot take away."""
OWN = (
    "chance",
    "items",
    "points",
    "reach",
    "mean_margin",
    "best_margin",
    "recent_margin",
    "zlast",
    "slope",
    "recent_slope",
    "line_margin",
    "recent_line_margin",
    "se",
    "skill",
    "skill_slope",
    "skill_ahead",
    "threshold",
    "curve_margin",
    "curve_lead",
    "curve_sd",
)
"""Features that need nothing but the curve and its line: one kind of process sees these only."""
RISING = (
    "last_margin",
    "best_margin",
    "recent_margin",
    "mean_margin",
    "line_margin",
    "recent_line_margin",
    "last_sigma",
    "curve_p",
    "curve_margin",
    "curve_lead",
    "curve_best",
    "task_ahead",
    "task_now",
    "task_skill_ahead",
    "task_skill_now",
    "task_adjusted",
    "domain_now",
    "domain_ahead",
    "domain_emerged",
    "peers_emerged",
    "skill_ahead",
    "skill",
    "reach",
    "zlast",
)
RELATIVE = tuple(place for place, name in enumerate(USED) if name not in ABSOLUTE)
UP = tuple(USED[place] in RISING for place in RELATIVE)
FITS: dict[str, Callable[..., Member]] = {
    "boosted": partial(boosted, columns=RELATIVE, rising=UP, shape=SMALL),
    "boosted_absolute": partial(boosted, columns=range(len(USED)), rising=None, shape=LARGE),
    "boosted_margin": partial(boosted_margin, columns=RELATIVE, rising=UP),
    "process": partial(processes, columns=RELATIVE),
    "own_process": partial(processes, columns=[USED.index(name) for name in OWN]),
}
WEIGHTS = {
    "boosted": 1.0,
    "boosted_absolute": 1.0,
    "boosted_margin": 1.0,
    "process": 1.0,
    "own_process": 1.0,
    "curve": 0.5,
}
"""Fixed: weights learned from held-out tasks or later scales of the history did worse on six of nine splits."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Fitted members; the curve posterior comes with the features."""

    members: dict[str, Member] = field(repr=False)

    def each(self, rows: Features, threshold: Vector, last: Vector) -> dict[str, Vector]:
        """What every member says."""
        said = {name: member(rows, threshold, last) for name, member in self.members.items()}
        return said | {"curve": rows[:, USED.index("curve_p")]}

    def predict(self, rows: Features, threshold: Vector, last: Vector) -> Float[np.ndarray, "question 3"]:
        """Probability, low and high end of the 95 % interval."""
        said = self.each(rows, threshold, last)
        share = np.array([WEIGHTS[name] for name in said])
        share = share / share.sum()
        voices = np.clip(np.stack(list(said.values())), LEAST, 1 - LEAST)
        p = share @ voices
        logits = np.log(voices / (1 - voices))
        centre = np.log(p / (1 - p))
        half = 1.96 * np.sqrt(share @ (logits - share @ logits) ** 2 / len(said) + FLOOR_VARIANCE)
        return np.stack([p, 1 / (1 + np.exp(half - centre)), 1 / (1 + np.exp(-half - centre))], axis=1)


def fit_stack(found: Examples, *, seed: int) -> Stack:
    """Fit every member on all examples."""
    return Stack(members={name: fit(found, seed=seed) for name, fit in FITS.items()})
