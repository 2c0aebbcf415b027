"""When a mechanism emerged: the interpolated crossing of half its final strength, once copying is above chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Onset:
    """The training step of emergence; `censored` when the run ended before it, and then `step` is the run's last."""

    step: float
    censored: bool


LEAST_STRENGTH = 0.1
"""A run whose mechanism never gets stronger than twice this has not emerged, whatever half of its maximum is."""


def emergence_threshold(strength: Sequence[float]) -> float:
    """The strength at which a run counts as emerged: half of its own maximum, but at least `LEAST_STRENGTH`.

    Without the floor, a run in which nothing ever formed would "emerge" in its own noise at the first checkpoint.
    """
    return max(0.5 * max(strength), LEAST_STRENGTH)


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

    Between two checkpoints both curves are taken as linear in log(step), with step 0 counted as 1, and the later of their
    two crossings is the onset, so that a higher threshold never gives an earlier one. For an arm of an experiment take
    the threshold from the arm it is compared with (half of the untouched run's final maximum), or a weaker head would
    look as early as a strong one.
    Source: METHODS §9. Trust: two checkpoints bracket the answer; a censored onset is only a lower bound.
    """
    able = chance + 3 * (chance * (1 - chance) / items) ** 0.5
    for index in range(len(steps)):
        if strength[index] > threshold and copying[index] > able:
            share = max(_crossing(strength, index, threshold), _crossing(copying, index, able))
            return Onset(step=_between(steps, index, share), censored=False)
    return Onset(step=float(steps[-1]), censored=True)


def _crossing(values: Sequence[float], index: int, level: float) -> float:
    """Where between the checkpoint before (0) and this one (1) the values pass `level`; 0 if they had passed it already."""
    if index == 0:
        return 1.0
    before, after = values[index - 1], values[index]
    return 0.0 if before >= level else (level - before) / (after - before)


def _between(steps: Sequence[int], index: int, share: float) -> float:
    low, high = np.log(max(steps[max(index - 1, 0)], 1)), np.log(max(steps[index], 1))
    return float(np.exp(low + share * (high - low)))
