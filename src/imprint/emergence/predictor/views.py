"""Views of a question's features: which of them a member sees, so that members of one kind err differently."""

import numpy as np
from jaxtyping import Float

from imprint.emergence.predictor.examples import ABSOLUTE, USED

Features = Float[np.ndarray, "question feature"]
View = Float[np.ndarray, "question seen"]

PLAIN = (
    "chance",
    "shots",
    "items",
    "points",
    "x_origin",
    "x_horizon",
    "reach",
    "zlast",
    "slope",
    "recent_slope",
    "se",
    "skill",
    "skill_slope",
    "skill_ahead",
    "threshold",
    "last_emerged",
)
LEVELS = ("best_margin", "mean_margin", "recent_margin", "line_margin", "recent_line_margin")
"""Margins that the plain view turns back into scores: a threshold of few items would otherwise name the task."""
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
"""Features of which more never speaks against emergence."""
RELATIVE_COLUMNS = tuple(place for place, name in enumerate(USED) if name not in ABSOLUTE)
UP = tuple(USED[place] in RISING for place in RELATIVE_COLUMNS)
_SHOTS = (*RELATIVE_COLUMNS, USED.index("shots"))
_PLAIN = tuple(USED.index(name) for name in PLAIN)
_LEVELS = tuple(USED.index(name) for name in LEVELS)
_THRESHOLD = USED.index("threshold")


def whole(features: Features) -> View:
    """Every feature, also where the question lies."""
    return features


def relative(features: Features) -> View:
    """What the curve does, not where it lies: carries to new scales."""
    return features[:, RELATIVE_COLUMNS]


def relative_and_shots(features: Features) -> View:
    """The same, and the number of shots."""
    return features[:, _SHOTS]


def plain(features: Features) -> View:
    """The curve's own scores and its line's skill, as levels: little to fit, so it carries to new tasks."""
    return np.concatenate([features[:, _PLAIN], features[:, _LEVELS] + features[:, [_THRESHOLD]]], axis=1)
