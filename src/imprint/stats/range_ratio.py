"""The range of condition means over the spread inside conditions, never without what chance alone would give."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from imprint.errors import InputError
from imprint.stats.condition_permutation import condition_permutation, group_ratios
from imprint.stats.nest import Nest, pipeline_means
from imprint.stats.undefined import Undefined

Spread = Literal["median sd", "pooled sd"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeRatio:
    """An informal "range is x sd", with its distribution when all conditions are alike."""

    ratio: float
    spread: Spread
    conditions: int
    pipelines: int
    """A condition."""
    null_median: float
    """The ratio that half of all studies without any effect exceed."""
    null_95: float
    """The ratio that 5 % of them exceed."""
    p: float
    """The chance of as large a ratio without any effect, pipelines being normal."""
    permutation_p: float | None
    """The same by shuffling pipelines; None where only the summary is known."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, words and None, ready for JSON."""
        return asdict(self)


def range_ratio(nest: Nest, *, seed: int, draws: int = 20_000) -> RangeRatio | Undefined:
    """The range of condition means over the median sd of a condition's pipelines, with its null; undefined without spread.

    Raises:
        InputError: conditions cannot be told from pipelines, or unequal numbers of pipelines.

    Trust: a poor statistic (a median of few noisy sds); kept because reports quote it. Read `p`, or better `one_way`.
    """
    means = pipeline_means(nest)
    if np.ptp(means.sizes):
        raise InputError(
            f"{nest.metric} has unequal numbers of pipelines, which the range ratio cannot use: take one_way."
        )
    ratio = float(group_ratios(means.values[None], means.sizes.tolist())[0])
    if not np.isfinite(ratio):
        return Undefined(
            reason="pipelines of a condition do not vary, so the range cannot be put in units of their spread"
        )
    shuffled = condition_permutation(nest, seed=seed, statistic="range ratio", draws=draws)
    return _with_null(ratio, means.sizes.size, int(means.sizes[0]), "median sd", seed, draws, shuffled.p)


def judge_range_ratio(
    ratio: float, *, conditions: int, pipelines: int, seed: int, spread: Spread = "median sd", draws: int = 20_000
) -> RangeRatio:
    """What a published ratio is worth, its cells unknown: its null for so many independent pipelines a condition.

    With "pooled sd" the null is exact (studentized range), with "median sd" Monte Carlo.

    Raises:
        InputError: fewer than 2 conditions or pipelines, or a negative ratio.

    Trust: `pipelines` must be independent pipelines; last-stage seeds of one pipeline count as one.
    """
    if conditions < 2 or pipelines < 2 or not ratio >= 0:
        raise InputError(
            f"ratio={ratio} of {conditions} conditions with {pipelines} pipelines has no null: give a ratio of 0 or more, "
            "at least 2 conditions and at least 2 independent pipelines in each."
        )
    return _with_null(ratio, conditions, pipelines, spread, seed, draws, None)


def _with_null(
    ratio: float, conditions: int, pipelines: int, spread: Spread, seed: int, draws: int, permutation_p: float | None
) -> RangeRatio:
    if spread == "pooled sd":
        scale, df = np.sqrt(pipelines), conditions * (pipelines - 1)
        middle, high = stats.studentized_range.isf([0.5, 0.05], conditions, df) / scale
        p = float(stats.studentized_range.sf(ratio * scale, conditions, df))
    else:
        values = np.random.default_rng(seed).standard_normal((draws, conditions * pipelines))
        null = group_ratios(values, [pipelines] * conditions)
        middle, high = np.quantile(null, [0.5, 0.95])
        p = (int((null >= ratio).sum()) + 1) / (draws + 1)
    return RangeRatio(
        ratio=ratio,
        spread=spread,
        conditions=conditions,
        pipelines=pipelines,
        null_median=float(middle),
        null_95=float(high),
        p=p,
        permutation_p=permutation_p,
    )
