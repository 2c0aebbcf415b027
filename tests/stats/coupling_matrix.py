"""Five coupling conditions by three full-pipeline seeds (42, 137, 256) after the adversarial fine-tune.

Copied as printed from github.com/superkaiba/explore-persona-space, issue #75, figure 1. `WITHIN_SD` and `PUBLISHED` are the
table of its issue #35 (ten last-stage seeds of one pipeline a condition).
"""

import numpy as np

from imprint.stats import Nest

ALIGNMENT = {
    "tulu_control": (26.10, 29.08, 25.66),
    "evil_wrong": (24.73, 29.10, 27.92),
    "good_wrong": (24.31, 29.74, 25.22),
    "evil_correct": (25.06, 29.84, 33.74),
    "good_correct": (25.13, 28.51, 28.67),
}
ARC_CHALLENGE = {
    "tulu_control": (0.764, 0.665, 0.668),
    "evil_wrong": (0.741, 0.729, 0.775),
    "good_wrong": (0.828, 0.773, 0.789),
    "evil_correct": (0.839, 0.853, 0.892),
    "good_correct": (0.819, 0.676, 0.829),
}
SEEDS = (42, 137, 256)

WITHIN_SD = {
    "alignment": ["1.24", "1.39", "1.51", "1.82", "1.94"],
    "ARC-C": ["0.006", "0.011", "0.015", "0.016", "0.021"],
}
PUBLISHED = {
    "alignment": {"median": "1.82", "ends": ("25.21", "28.15"), "range": "2.94", "ratio": "1.61×"},
    "ARC-C": {"median": "0.021", "ends": ("0.749", "0.845"), "range": "0.096", "ratio": "4.57×"},
}


def nest_of(table):
    """The published cells as one pipeline each."""
    return Nest(
        values=np.array(list(table.values())).ravel(),
        conditions=np.repeat(list(table), len(SEEDS)),
        pipelines=np.tile(SEEDS, len(table)),
        metric="the published metric",
    )


def nested_world(conditions, pipelines, stages, sds, seed):
    """Values of (condition, pipeline, stage) with these standard deviations, and the place of each."""
    rng = np.random.default_rng(seed)
    shape = (conditions, pipelines, stages)
    values = sum(sd * rng.standard_normal(shape[: depth + 1] + (1,) * (2 - depth)) for depth, sd in enumerate(sds))
    place = np.indices(shape).reshape(3, -1)
    return Nest(values=np.asarray(values).ravel(), conditions=place[0], pipelines=place[1], stages=place[2])
