"""Relative gains: how much stronger synthetic text makes the head, at a step fixed beforehand, beside the published ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from imprint.stats import Effect, Undefined, relative_change
from imprint.studies.mechanism.comparison import curve
from imprint.studies.mechanism.metrics import STRENGTH
from imprint.studies.mechanism.plans import Plan

PUBLISHED_GAINS: Mapping[str, float] = {"14M": 0.123, "31M": 0.108, "70M": 0.158, "160M": 0.098}
"""Relative gain of the induction score by synthetic text on Pythia (source 004); single runs, no interval was given."""
PUBLISHED_OWN_PATTERNS = 0.0256
"""The 160M model's gain with patterns mined from itself instead of from 14M (source 004)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """How much stronger one arm's head is than the untouched one, at a step that was fixed beforehand."""

    scale: str
    arm: str
    step: int
    moment: str
    """"transition": the untouched reference's checkpoint nearest to half of its strength; "end": the last one."""
    gain: Effect | Undefined
    """Mean strength of the arm over that of the untouched runs, minus 1."""


def gains(table: pl.DataFrame, plans: Sequence[Plan], seeds: Sequence[int]) -> list[Gain]:
    """The relative gain of every synthetic arm of every model, at the transition (if the window has begun) and at the end."""
    found = []
    for plan in plans:
        moments = {"transition": plan.at.transition, "end": plan.at.study.training.steps}
        steps = {moment: step for moment, step in moments.items() if step >= plan.at.window[0]}
        for arm in (arm.name for arm in plan.arms if arm.name.startswith("synthetic")):
            for moment, step in steps.items():
                treated, kept = (_strength(table, one, step, seeds) for one in (arm, plan.keep))
                gain = relative_change(
                    treated, kept, unit="pipeline seed", control_name=plan.keep, metric=f"relative gain of {STRENGTH}"
                )
                label = arm.partition("@")[0]
                found.append(Gain(scale=plan.at.study.scale, arm=label, step=step, moment=moment, gain=gain))
    return found


def _strength(table: pl.DataFrame, arm: str, step: int, seeds: Sequence[int]) -> np.ndarray:
    values = []
    for seed in seeds:
        steps, strength = curve(table, arm, seed, STRENGTH)
        values.append(strength[steps.index(step)])
    return np.array(values)
