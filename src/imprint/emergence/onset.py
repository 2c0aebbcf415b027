"""When a mechanism emerged: the interpolated crossing of half its final strength, once copying is above chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Onset:
    """The training step of emergence; `censored` when the run ended before it, and then `step` is the run's last."""

    step: float
    censored: bool


def onset(
    steps: Sequence[int],
    strength: Sequence[float],
    copying: Sequence[float],
    *,
    threshold: float,
    chance: float,
    items: int,
) -> Onset:
    """The first step at which `strength` exceeds `threshold` while copying exceeds chance + 3 standard errors.

    Interpolated linearly between checkpoints in log(step). For an arm of an experiment take the threshold from the arm it
    is compared with (half of the untouched run's final maximum), or a weaker head would look as early as a strong one.
    Source: METHODS §9. Trust: two checkpoints bracket the answer; a censored onset is only a lower bound.
    """
    able = chance + 3 * (chance * (1 - chance) / items) ** 0.5
    for index, step in enumerate(steps):
        if strength[index] > threshold and copying[index] > able:
            return Onset(step=_interpolated(steps, strength, index, threshold), censored=False) if index else _at(step)
    return Onset(step=float(steps[-1]), censored=True)


def _at(step: int) -> Onset:
    return Onset(step=float(step), censored=False)


def _interpolated(steps: Sequence[int], strength: Sequence[float], index: int, threshold: float) -> float:
    before, after = strength[index - 1], strength[index]
    if before >= threshold:
        return float(steps[index])
    share = (threshold - before) / (after - before)
    low, high = np.log(max(steps[index - 1], 1)), np.log(steps[index])
    return float(np.exp(low + share * (high - low)))


def inside_transition(steps: Sequence[int], strength: Sequence[float], *, low: float = 0.08, high: float = 0.4) -> int:
    """The checkpoint inside the transition: strength between `low` and `high` and nearest to the geometric middle.

    Before the transition trivial scores win, after it the head no longer learns (METHODS §2.5). When no checkpoint falls
    between, the nearest one is taken.
    """
    middle = (low * high) ** 0.5
    distance = [abs(np.log(max(value, 1e-6) / middle)) for value in strength]
    peak = int(np.argmax(strength))
    return int(steps[int(np.argmin(distance[: peak + 1]))])
