"""Recorded worlds small enough to work out by hand."""

import numpy as np

from imprint.emergence.allocation import Arm, Recorded


def recorded(*curves, costs=None, sizes=None, stderr=0.01):
    """One arm a curve, a checkpoint costs 1 (or the arm's own cost)."""
    costs = costs or [1.0] * len(curves)
    sizes = sizes or [None] * len(curves)
    arms = [
        Arm(
            name=f"arm {number}",
            exposure=np.arange(1.0, len(curve) + 1),
            cost=cost * np.arange(1.0, len(curve) + 1),
            size=size,
        )
        for number, (curve, cost, size) in enumerate(zip(curves, costs, sizes, strict=True))
    ]
    scores = tuple(np.array(curve, dtype=np.float64) for curve in curves)
    return Recorded(arms=tuple(arms), scores=scores, stderrs=tuple(np.full(len(one), stderr) for one in scores))
