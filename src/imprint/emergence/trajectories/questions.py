"""Questions: will an ability that has not emerged by one scale be there at a later one?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imprint.emergence.trajectories.curves import Curve


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """P(the ability of curve number `curve` is there at `horizon` | its first `count` points); scales are log10."""

    curve: int
    count: int
    horizon: float
    emerged: bool
    """The answer, where it is known."""
    z: float
    """The chance-corrected score at the horizon, where it is known."""


def known_questions(
    curves: Sequence[Curve],
    *,
    fewest: int = 2,
    steps: Sequence[int] | None = None,
    most: int | None = None,
    seed: int = 0,
) -> list[Question]:
    """Every question that the curves themselves answer: origins from the `fewest`-th point on, all later points.

    Only abilities that have not emerged at any point up to the origin are asked about. `steps`: only horizons that many
    points ahead, and the last. `most`: at most so many, drawn at random.
    """
    found = [
        Question(
            curve=index, count=count, horizon=float(curve.x[at]), emerged=bool(curve.emerged[at]), z=float(curve.z[at])
        )
        for index, curve in enumerate(curves)
        for count in range(fewest, len(curve))
        if not curve.emerged[:count].any()
        for at in range(count, len(curve))
        if steps is None or at - count + 1 in steps or at == len(curve) - 1
    ]
    if most is None or len(found) <= most:
        return found
    drawn = np.random.default_rng(seed).choice(len(found), most, replace=False)
    return [found[place] for place in np.sort(drawn)]
