"""Do runs with stronger induction heads learn more in context? A correlation over the arms' runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from imprint.stats import Effect, Undefined, spearman
from imprint.studies.mechanism.metrics import STRENGTH

ICL_SCORES = ("icl.olsson", "icl.mda", "icl.fewshot")


@dataclass(frozen=True, kw_only=True, slots=True)
class IclLink:
    """Spearman's correlation of final induction strength and one in-context-learning score, over the runs of all arms."""

    metric: str
    correlation: Effect | Undefined
    within_arms: Effect | Undefined
    """The same after each arm's mean is taken off both: what is left between seeds of one arm."""
    runs: int


def icl_links(table: pl.DataFrame, *, seed: int = 0, draws: int = 1000) -> list[IclLink]:
    """One link a score that was measured; intervals resample pipeline seeds, which all arms share.

    Negative for `icl.olsson` and `icl.mda`, positive for `icl.fewshot`: more induction goes with more in-context learning.
    Trust: arms differ by data, which may move both; a correlation over arms is no effect of one on the other.
    """
    last = table.sort("step").group_by("arm", "seed", "metric", maintain_order=True).last()
    wide = last.pivot(on="metric", index=["arm", "seed"], values="value").sort("arm", "seed")
    return [_link(wide, metric, seed, draws) for metric in ICL_SCORES if metric in wide.columns]


def _link(wide: pl.DataFrame, metric: str, seed: int, draws: int) -> IclLink:
    known = wide.drop_nulls([STRENGTH, metric])
    centred = known.with_columns(pl.col(name) - pl.col(name).mean().over("arm") for name in (STRENGTH, metric))
    return IclLink(
        metric=metric,
        correlation=_correlation(known, metric, seed, draws),
        within_arms=_correlation(centred, metric, seed, draws),
        runs=len(known),
    )


def _correlation(runs: pl.DataFrame, metric: str, seed: int, draws: int) -> Effect | Undefined:
    of_seed = [runs.filter(pl.col("seed") == one).select(STRENGTH, metric).to_numpy() for one in _seeds(runs)]
    whole = np.concatenate(of_seed)
    if len(of_seed) < 3 or len(whole) < 4 or (np.ptp(whole, axis=0) == 0).any():
        return Undefined(reason=f"{len(whole)} runs of {len(of_seed)} seeds do not vary enough")
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = np.concatenate([of_seed[index] for index in rng.integers(0, len(of_seed), len(of_seed))])
        if (np.ptp(drawn, axis=0) > 0).all():
            found.append(spearman(drawn[:, 0], drawn[:, 1]))
    estimate = spearman(whole[:, 0], whole[:, 1])
    low, high = np.percentile(found, [2.5, 97.5])
    return Effect(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        n=len(of_seed),
        unit="pipeline seed",
        control="no correlation",
        metric=f"Spearman of {STRENGTH} and {metric}",
        note=f"{len(whole)} runs; seeds resampled",
    )


def _seeds(runs: pl.DataFrame) -> Sequence[int]:
    return sorted(runs["seed"].unique().to_list())
