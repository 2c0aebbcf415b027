"""Arms compared seed by seed: emergence and every metric at the last step, as paired effects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.emergence import Onset, onset
from imprint.mechanisms import TRAJECTORY_FILE
from imprint.stats import Effect, paired_difference, paired_permutation
from imprint.studies.arms import KEEP, Arm

STRENGTH = "induction.prefix_matching"
COPYING = "copy.accuracy"
LOG_ONSET = "onset"
"""Emergence in log training steps; an effect of .14 is a delay of 15 %."""
FINAL_METRICS = (
    STRENGTH,
    "previous_token",
    COPYING,
    "icl.olsson",
    "icl.mda",
    "icl.fewshot",
    "loss.heldout",
    "loss.repeats",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmEffect:
    """The effect of one arm against one control on one metric, over pipeline seeds."""

    arm: str
    control: str
    metric: str
    effect: Effect
    p: float
    """Two-sided exact sign-flip p; with five seeds none below .0625 exists."""
    censored: int
    """For `onset`: pairs in which either run ended before emergence, so the shift is only a bound."""
    is_control: bool


def read_trajectories(folders: Mapping[tuple[str, int], Path]) -> pl.DataFrame:
    """All runs' trajectories in one tidy table: arm, seed, step, metric, value."""
    frames = [
        pl.read_parquet(folder / TRAJECTORY_FILE).select(
            pl.lit(arm).alias("arm"), pl.lit(seed).alias("seed"), "step", "metric", "value"
        )
        for (arm, seed), folder in folders.items()
    ]
    return pl.concat(frames)


def curve(table: pl.DataFrame, arm: str, seed: int, metric: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric of one run."""
    rows = table.filter(pl.col("arm") == arm, pl.col("seed") == seed, pl.col("metric") == metric).sort("step")
    return rows["step"].to_list(), rows["value"].to_list()


def find_onsets(table: pl.DataFrame, *, chance: float, items: int) -> dict[tuple[str, int], Onset]:
    """Every run's emergence; each seed's threshold is half of its untouched run's largest strength."""
    found = {}
    for arm, seed in table.select("arm", "seed").unique(maintain_order=True).iter_rows():
        threshold = 0.5 * max(curve(table, KEEP, seed, STRENGTH)[1])
        steps, strength = curve(table, arm, seed, STRENGTH)
        _, copying = curve(table, arm, seed, COPYING)
        found[arm, seed] = onset(steps, strength, copying, threshold=threshold, chance=chance, items=items)
    return found


def values(
    table: pl.DataFrame, onsets: Mapping[tuple[str, int], Onset], arm: str, metric: str, seeds: Sequence[int]
) -> np.ndarray:
    """One number a seed: log emergence step, or the metric at the last checkpoint."""
    if metric == LOG_ONSET:
        return np.array([np.log(onsets[arm, seed].step) for seed in seeds])
    return np.array([curve(table, arm, seed, metric)[1][-1] for seed in seeds])


def compare_arms(
    table: pl.DataFrame, onsets: Mapping[tuple[str, int], Onset], arms: Sequence[Arm], seeds: Sequence[int]
) -> list[ArmEffect]:
    """Every arm against its control, and every non-control arm against the untouched runs too, on every metric."""
    known = [metric for metric in FINAL_METRICS if metric in set(table["metric"].unique())]
    pairs = [(arm, control) for arm in arms for control in dict.fromkeys((arm.control, KEEP))]
    return [
        _effect(table, onsets, arm, control, metric, seeds) for arm, control in pairs for metric in (LOG_ONSET, *known)
    ]


def _effect(
    table: pl.DataFrame,
    onsets: Mapping[tuple[str, int], Onset],
    arm: Arm,
    control: str,
    metric: str,
    seeds: Sequence[int],
) -> ArmEffect:
    treated, untreated = (values(table, onsets, name, metric, seeds) for name in (arm.name, control))
    effect = paired_difference(treated, untreated, seed=0, unit="pipeline seed", control_name=control, metric=metric)
    late = [onsets[arm.name, seed].censored or onsets[control, seed].censored for seed in seeds]
    return ArmEffect(
        arm=arm.name,
        control=control,
        metric=metric,
        effect=effect,
        p=paired_permutation(treated, untreated, seed=0),
        censored=sum(late) if metric == LOG_ONSET else 0,
        is_control=arm.is_control,
    )
