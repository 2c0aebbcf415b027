"""Conditions crossed with shared pipeline seeds: is it the condition, or the seed that all conditions share?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy import stats

from imprint.errors import InputError
from imprint.stats.effects import Effect
from imprint.stats.mean_squares import MeanSquare, difference_interval, mean_square_interval
from imprint.stats.nest import Nest, pipeline_means
from imprint.stats.undefined import Estimate, Undefined
from imprint.stats.variance import NEGATIVE, FTest, f_test


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoWay:
    """Condition and seed block, one pipeline in every cell; the rest is pipeline noise and their interaction together."""

    condition: FTest | Undefined
    """The same with conditions fixed (mixed model) or random."""
    block: FTest | Undefined
    condition_variance: Estimate
    block_variance: Estimate
    residual_variance: Estimate
    icc_random: Estimate
    """ICC(2,1), Shrout and Fleiss 1979: the condition's share of all variance, that between seed blocks included."""
    icc_mixed: Estimate
    """ICC(3,1): the condition's share of the variance within seed blocks."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {name: getattr(self, name).as_dict() for name in self.__slots__}


def two_way(nest: Nest, *, level: float = 0.95) -> TwoWay:
    """F tests, variance components and ICCs of conditions crossed with the pipeline seeds that they share.

    Raises:
        InputError: conditions cannot be told from pipelines, or a condition lacks a seed that another has.

    Trust: equal seeds make a block only if they fix something that conditions share (data order, machine, code version);
    otherwise read `one_way`. Interaction of condition and seed counts as noise, since every cell holds one pipeline.
    """
    table = crossed(nest)
    conditions, blocks = table.shape
    row = MeanSquare(value=float(table.mean(1).var(ddof=1)) * blocks, df=conditions - 1.0)
    column = MeanSquare(value=float(table.mean(0).var(ddof=1)) * conditions, df=blocks - 1.0)
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    if np.ptp(residual) <= 1e-12 * np.abs(table).max():
        residual = np.zeros_like(residual)
    rest = MeanSquare(value=float((residual**2).sum()) / (row.df * column.df), df=row.df * column.df)
    report = _Report(nest.metric, table.size, level)
    return TwoWay(
        condition=f_test(row.value, row.df, rest.value, rest.df),
        block=f_test(column.value, column.df, rest.value, rest.df),
        condition_variance=report.component("condition", row, rest, blocks),
        block_variance=report.component("seed block", column, rest, conditions),
        residual_variance=report.effect("variance by pipeline", rest.value, *mean_square_interval(rest, level)),
        icc_random=_icc_random(row, column, rest, report),
        icc_mixed=_icc_mixed(row, column, rest, report),
    )


@dataclass(frozen=True, slots=True)
class _Report:
    metric: str
    pipelines: int
    level: float

    def effect(self, name: str, estimate: float, low: float, high: float) -> Effect:
        return Effect(
            estimate=float(estimate),
            low=float(low),
            high=float(high),
            n=self.pipelines,
            unit="pipeline seed",
            control="0, no variance",
            metric=f"{name} on {self.metric}",
            level=self.level,
            note=NEGATIVE if estimate < 0 else "",
        )

    def component(self, name: str, square: MeanSquare, rest: MeanSquare, size: int) -> Effect:
        low, high = difference_interval(square, rest, self.level)
        return self.effect(f"variance by {name}", (square.value - rest.value) / size, low / size, high / size)


def crossed(nest: Nest) -> Float64[np.ndarray, "condition block"]:
    """One value a condition (row) and pipeline seed (column); InputError unless every seed stands in every condition."""
    means = pipeline_means(nest)
    shared = means.seeds.reshape(means.sizes.size, -1) if np.ptp(means.sizes) == 0 else means.seeds[None, :0]
    if means.sizes[0] < 2 or not shared.size or (shared != shared[0]).any():
        raise InputError(
            f"{nest.metric} has not every pipeline seed in every condition: run the same seeds (at least 2) in all "
            "conditions, or take one_way, which needs no shared seeds."
        )
    return means.values.reshape(shared.shape)


def _icc_mixed(row: MeanSquare, column: MeanSquare, rest: MeanSquare, report: _Report) -> Estimate:
    if rest.value == 0:
        return Undefined(reason="nothing varies inside conditions and seed blocks, so there is no share to take")
    size, tail = column.df + 1, (1 - report.level) / 2
    ratio = row.value / rest.value
    ends = (ratio / float(stats.f.isf(probability, row.df, rest.df)) for probability in (tail, 1 - tail))
    estimate, low, high = ((found - 1) / (found + size - 1) for found in (ratio, *ends))
    return report.effect("ICC(3,1)", estimate, low, high)


def _icc_random(row: MeanSquare, column: MeanSquare, rest: MeanSquare, report: _Report) -> Estimate:
    conditions, blocks = row.df + 1, column.df + 1
    bottom = row.value + (blocks - 1) * rest.value + blocks * (column.value - rest.value) / conditions
    if rest.value == 0 or bottom <= 0:
        return Undefined(reason="the variances sum to 0 or less, so there is no share to take")
    estimate = (row.value - rest.value) / bottom
    df = _disagreement_df(estimate, row, column, rest)
    tail = (1 - report.level) / 2
    upper, lower = stats.f.ppf(1 - tail, row.df, df), stats.f.ppf(1 - tail, df, row.df)
    others = blocks * column.value + (conditions * blocks - conditions - blocks) * rest.value
    low = conditions * (row.value - upper * rest.value) / (upper * others + conditions * row.value)
    high = conditions * (lower * row.value - rest.value) / (others + conditions * lower * row.value)
    return report.effect("ICC(2,1)", estimate, low, high)


def _disagreement_df(icc: float, row: MeanSquare, column: MeanSquare, rest: MeanSquare) -> float:
    """Satterthwaite's degrees of freedom of the variance inside a condition (blocks and rest) at this ICC."""
    conditions, blocks = row.df + 1, column.df + 1
    between = blocks * icc * column.value
    within = (conditions * (1 + (blocks - 1) * icc) - blocks * icc) * rest.value
    return (between + within) ** 2 / (between**2 / column.df + within**2 / rest.df)
