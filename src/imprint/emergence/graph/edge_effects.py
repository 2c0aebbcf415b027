"""The effect of an intervention on one node: pairs by seed within scales, with interval, p-values and what could be seen."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import special

from imprint.emergence.graph.observations import Pairs
from imprint.stats import Effect, minimal_detectable_effect, paired_permutation

FEWEST = 2
"""Pairs below which nothing is tested."""
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleEffect:
    """The effect at one scale; without an interval where it has one pair only."""

    scale: float
    estimate: float
    pairs: int
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeEffect:
    """The mean of treated - reference over scales, each scale counting alike. Positive: the intervention raised the node.

    `p` is the paired t test within scales (Welch-Satterthwaite degrees of freedom), `p_sign_flip` the exact permutation test
    up to 14 pairs. `p_scales` tests whether the effect is the same at all scales (analysis of variance of the differences).

    Trust: runs of one seed at several scales count as several pairs; where seeds share more than a number (one data order
    for all scales), the interval is too narrow.
    """

    effect: Effect
    p: float
    p_sign_flip: float
    control_sd: float
    """Within scales, of the reference runs; 0 where they agree."""
    detectable: float
    """The smallest effect that these pairs would show with power .8 at the uncorrected level, in node units."""
    by_scale: tuple[ScaleEffect, ...]
    p_scales: float | None
    """None with one scale, or one pair a scale."""
    varies: bool
    """False where the node has one value in all of these runs: then nothing was tested."""

    @property
    def in_control_sd(self) -> float | None:
        """The estimate in standard deviations of the untouched runs; None where they do not vary."""
        return self.effect.estimate / self.control_sd if self.control_sd > 0 else None

    def within(self, margin: float) -> bool:
        """Whether the whole interval lies within +-margin."""
        return -margin <= self.effect.low and self.effect.high <= margin

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        by_scale = [{name: getattr(one, name) for name in ScaleEffect.__slots__} for one in self.by_scale]
        return {
            "effect": self.effect.as_dict(),
            "in_control_sd": self.in_control_sd,
            "p": self.p,
            "p_sign_flip": self.p_sign_flip,
            "detectable": self.detectable,
            "p_scales": self.p_scales,
            "by_scale": by_scale,
        }


def edge_effect(pairs: Pairs, *, node: str, control: str, alpha: float, seed: int) -> EdgeEffect:
    """The effect in at least two pairs."""
    strata = [_even(pairs.difference[pairs.scale == scale]) for scale in np.unique(pairs.scale)]
    stratified = all(len(part) >= FEWEST for part in strata)
    if not stratified:
        strata = [_even(pairs.difference)]
    estimate, error, freedom = _stratified_mean(strata)
    half = 0.0 if error == 0 else _quantile(alpha, freedom) * error
    flipped = paired_permutation(pairs.treated, pairs.reference, seed=seed)
    note = "one pair at some scale: scales were pooled" if not stratified and len(np.unique(pairs.scale)) > 1 else ""
    return EdgeEffect(
        effect=Effect(
            estimate=estimate,
            low=estimate - half,
            high=estimate + half,
            n=len(pairs),
            unit="run",
            control=control,
            metric=node,
            level=1 - alpha,
            note="all pairs of a scale agree: the interval has no width" if error == 0 else note,
        ),
        p=flipped if error == 0 else _two_sided(estimate / error, freedom),
        p_sign_flip=flipped,
        control_sd=_within_sd([pairs.reference[pairs.scale == scale] for scale in np.unique(pairs.scale)]),
        detectable=error * math.sqrt(len(pairs)) * _detectable(len(pairs), alpha),
        by_scale=tuple(
            _at_scale(float(scale), pairs.difference[pairs.scale == scale], alpha) for scale in np.unique(pairs.scale)
        ),
        p_scales=_heterogeneity(strata) if stratified else None,
        varies=bool(np.ptp(np.concatenate([pairs.treated, pairs.reference])) > 0),
    )


def _stratified_mean(strata: list[Float[np.ndarray, " _"]]) -> tuple[float, float, float]:
    """Mean of the strata's means, its standard error, and Welch-Satterthwaite degrees of freedom."""
    parts = np.array([part.var(ddof=1) / len(part) for part in strata]) / len(strata) ** 2
    freedoms = np.array([len(part) - 1 for part in strata])
    total = float(parts.sum())
    freedom = total**2 / float((parts**2 / freedoms).sum()) if total > 0 else float(freedoms.sum())
    return float(np.mean([part.mean() for part in strata])), math.sqrt(total), freedom


def _even(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Differences that agree up to rounding, made equal."""
    return np.full_like(values, np.median(values)) if np.ptp(values) <= _ROUNDING * np.abs(values).max() else values


def _at_scale(scale: float, differences: Float[np.ndarray, " n"], alpha: float) -> ScaleEffect:
    estimate, count = float(differences.mean()), len(differences)
    if count < FEWEST:
        return ScaleEffect(scale=scale, estimate=estimate, pairs=count)
    differences = _even(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(count)
    half = _quantile(alpha, count - 1) * error
    p = _two_sided(estimate / error, count - 1) if error > 0 else None
    return ScaleEffect(scale=scale, estimate=estimate, pairs=count, low=estimate - half, high=estimate + half, p=p)


def _heterogeneity(strata: list[Float[np.ndarray, " _"]]) -> float | None:
    """The p-value of "the mean difference is the same at all scales"; without spread within scales, whether means agree."""
    if len(strata) < 2:
        return None
    means = np.array([part.mean() for part in strata])
    if not any(np.ptp(part) > 0 for part in strata):
        return 1.0 if np.ptp(means) <= _ROUNDING * np.abs(means).max() else 0.0
    pooled = np.concatenate(strata)
    between, free = len(strata) - 1, len(pooled) - len(strata)
    within = float(sum(((part - part.mean()) ** 2).sum() for part in strata))
    among = float(sum(len(part) * (part.mean() - pooled.mean()) ** 2 for part in strata))
    return float(special.fdtrc(between, free, among / between / (within / free)))


def _two_sided(t: float, freedom: float | int) -> float:
    """The p-value of a t statistic."""
    return float(2 * special.stdtr(freedom, -abs(t)))


def _quantile(alpha: float, freedom: float | int) -> float:
    """Half the width of the 1 - alpha interval, in standard errors."""
    return float(special.stdtrit(freedom, 1 - alpha / 2))


def _within_sd(groups: list[Float[np.ndarray, " _"]]) -> float:
    """The standard deviation within groups, pooled; over all values where no group has two."""
    usable = [group for group in groups if len(group) > 1]
    if not usable:
        return float(np.concatenate(groups).std(ddof=1))
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in usable)
    return math.sqrt(squares / sum(len(group) - 1 for group in usable))


@cache
def _detectable(pairs: int, alpha: float) -> float:
    """In standard deviations of the differences."""
    return minimal_detectable_effect(1.0, pairs, alpha=alpha)
