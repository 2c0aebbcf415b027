"""Arms compared seed by seed: emergence and every metric at the last step, as paired effects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.emergence import Onset, emergence_threshold, onset
from imprint.mechanisms import TRAJECTORY_FILE, ProbeOptions
from imprint.stats import Effect, paired_difference, paired_permutation
from imprint.studies.mechanism.arms import Arm
from imprint.studies.mechanism.metrics import COPYING, FINAL_METRICS, LOG_ONSET, STRENGTH, untouched


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmEffect:
    """The effect of one arm against one control on one metric, over pipeline seeds."""

    arm: str
    control: str
    metric: str
    effect: Effect
    p: float
    """Two-sided exact sign-flip p; with five seeds none below .0625 exists."""
    censored_arm: int
    """For `onset`: runs of the arm that ended before emergence."""
    censored_control: int
    """For `onset`: runs of the control that ended before emergence."""
    is_control: bool

    @property
    def note(self) -> str:
        """What runs that ended before emergence make of the shift; empty when there are none."""
        if not self.censored_arm and not self.censored_control:
            return ""
        bound = "at most this" if not self.censored_arm else "at least this" if not self.censored_control else "unknown"
        return (
            f"ended before emergence: {self.censored_arm} of {self.effect.n} runs of {self.arm},"
            f" {self.censored_control} of {self.control}, so the shift is {bound}"
        )


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


def copying_bar(probe: ProbeOptions, context: int) -> tuple[float, int]:
    """What `onset` needs to say that copying is above chance: the chance, and how many copied tokens were counted."""
    probes = probe.build(context)
    return probes[0].chance, sum(len(one.tokens) * (one.period - 1) for one in probes)


def find_onsets(table: pl.DataFrame, *, chance: float, items: int) -> dict[tuple[str, int], Onset]:
    """Every run's emergence; each seed's threshold is half of its untouched run's largest strength."""
    found = {}
    for arm, seed in table.select("arm", "seed").unique(maintain_order=True).iter_rows():
        threshold = emergence_threshold(curve(table, untouched(arm), seed, STRENGTH)[1])
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
    run = {arm.name for arm in arms}
    pairs = [
        (arm, control)
        for arm in arms
        for control in dict.fromkeys((arm.control, *(one for one in arm.against if one in run), untouched(arm.name)))
    ]
    return [
        arm_effect(table, onsets, arm.name, control, metric, seeds, is_control=arm.is_control)
        for arm, control in pairs
        for metric in (LOG_ONSET, *known)
    ]


def arm_effect(
    table: pl.DataFrame,
    onsets: Mapping[tuple[str, int], Onset],
    arm: str,
    control: str,
    metric: str,
    seeds: Sequence[int],
    *,
    is_control: bool = False,
) -> ArmEffect:
    """The effect of one arm against one control on one metric, paired by seed."""
    treated, untreated = (values(table, onsets, name, metric, seeds) for name in (arm, control))
    effect = paired_difference(treated, untreated, seed=0, unit="pipeline seed", control_name=control, metric=metric)
    late = [sum(onsets[name, seed].censored for seed in seeds) for name in (arm, control)]
    return ArmEffect(
        arm=arm,
        control=control,
        metric=metric,
        effect=effect,
        p=paired_permutation(treated, untreated, seed=0),
        censored_arm=late[0] if metric == LOG_ONSET else 0,
        censored_control=late[1] if metric == LOG_ONSET else 0,
        is_control=is_control,
    )
