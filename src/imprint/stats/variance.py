"""Does the condition explain the spread of an outcome? One-way F, ICC(1), eta squared and omega squared over pipelines."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

from imprint.stats.effects import Effect
from imprint.stats.nest import Nest, PipelineMeans, pipeline_means
from imprint.stats.undefined import Estimate, Undefined

NEGATIVE = (
    "negative: the groups differ less than the noise inside them would make them, so there is no sign of variance"
)
"""The note of a variance or share that was estimated below 0, and is reported so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FTest:
    """An F ratio with its degrees of freedom (Satterthwaite's, where not whole) and the chance of a larger one."""

    statistic: float
    numerator_df: float
    denominator_df: float
    p: float

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class OneWay:
    """What a one-way analysis over pipelines says about the conditions."""

    f: FTest | Undefined
    icc: Estimate
    """ICC(1), Shrout and Fleiss 1979: the share of a pipeline's variance that its condition explains, conditions random."""
    eta_squared: Estimate
    """The share of this sample's sum of squares; biased upwards, its mean under no effect is in `control`."""
    omega_squared: Estimate
    """Hays' correction of eta squared for that bias, conditions fixed."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {
            "f": self.f.as_dict(),
            "icc": self.icc.as_dict(),
            "eta_squared": self.eta_squared.as_dict(),
            "omega_squared": self.omega_squared.as_dict(),
        }


def f_test(between: float, between_df: float, within: float, within_df: float) -> FTest | Undefined:
    """The F test of two mean squares; undefined when the lower one is 0."""
    if within <= 0:
        return Undefined(reason="the units inside a group do not vary, so no F ratio exists: add independent units")
    ratio = between / within
    return FTest(
        statistic=ratio,
        numerator_df=between_df,
        denominator_df=within_df,
        p=float(stats.f.sf(ratio, between_df, within_df)),
    )


def condition_f(nest: Nest) -> FTest | Undefined:
    """The F test of the conditions with pipelines as units: in a balanced nest, the nested F test.

    Raises:
        InputError: conditions cannot be told from pipelines (see `imprint.stats.nest.require_pipelines`).

    Trust: assumes pipelines with equal, roughly normal spread; `condition_permutation` needs no normality.
    """
    means = pipeline_means(nest)
    between, within = _mean_squares(means)
    k, n = means.sizes.size, means.values.size
    return f_test(between, float(k - 1), within, float(n - k))


def one_way(nest: Nest, *, level: float = 0.95) -> OneWay:
    """F, ICC(1), eta squared and omega squared of the conditions, with intervals, pipelines as units.

    The ICC interval inverts F exactly when all conditions have as many pipelines (approximately otherwise); those of eta
    and omega squared invert the noncentral F and hold for the same population share.

    Raises:
        InputError: conditions cannot be told from pipelines (see `imprint.stats.nest.require_pipelines`).

    Trust: with 5 conditions and 3 pipelines the ICC interval spans most of its range: read the interval, not the value.
    """
    means = pipeline_means(nest)
    between, within = _mean_squares(means)
    k, n = means.sizes.size, means.values.size
    found = f_test(between, float(k - 1), within, float(n - k))
    if isinstance(found, Undefined):
        return OneWay(f=found, icc=found, eta_squared=found, omega_squared=found)
    total = between * (k - 1) + within * (n - k)
    population = _population_share(found, n, level)
    return OneWay(
        f=found,
        icc=_icc(found, means, level),
        eta_squared=_share(
            means, "eta squared", between * (k - 1) / total, population, level, f"{(k - 1) / (n - 1):.3g}"
        ),
        omega_squared=_share(
            means, "omega squared", (between - within) * (k - 1) / (total + within), population, level, "0"
        ),
    )


def _mean_squares(means: PipelineMeans) -> tuple[float, float]:
    """Between and within conditions; a within spread that is only rounding (1e-12 of the largest value) becomes 0."""
    centred = means.values - means.values.mean()
    group = np.bincount(means.conditions, centred) / means.sizes
    residual = centred - group[means.conditions]
    if np.ptp(residual) <= 1e-12 * np.abs(means.values).max():
        residual = np.zeros_like(residual)
    k, n = means.sizes.size, means.values.size
    return float(means.sizes @ group**2) / (k - 1), float(residual @ residual) / (n - k)


def _icc(found: FTest, means: PipelineMeans, level: float) -> Effect:
    sizes, n = means.sizes, means.values.size
    size = float(n - (sizes @ sizes) / n) / (sizes.size - 1)
    tail = (1 - level) / 2
    shape = found.numerator_df, found.denominator_df
    ends = (found.statistic / float(stats.f.isf(probability, *shape)) for probability in (tail, 1 - tail))
    low, high = ((ratio - 1) / (ratio + size - 1) for ratio in ends)
    estimate = (found.statistic - 1) / (found.statistic + size - 1)
    notes = (NEGATIVE if estimate < 0 else "", "approximate: unequal numbers of pipelines" if np.ptp(sizes) else "")
    return _effect(means, "ICC(1) of the condition", estimate, (low, high), level, "0, no variance", notes)


def _population_share(found: FTest, n: int, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = (_noncentrality(found, probability) for probability in (1 - tail, tail))
    return low / (low + n), high / (high + n)


def _noncentrality(found: FTest, probability: float) -> float:
    """The noncentrality at which a ratio up to the one found has this probability; 0 where none is so small."""

    def excess(noncentrality: float) -> float:
        shape = found.numerator_df, found.denominator_df, noncentrality, found.statistic
        return float(special.ncfdtr(*shape)) - probability

    if stats.f.cdf(found.statistic, found.numerator_df, found.denominator_df) <= probability:
        return 0.0
    high = 10 * (1 + found.statistic * found.numerator_df)
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 1e-12, high))


def _share(
    means: PipelineMeans, name: str, estimate: float, ends: tuple[float, float], level: float, null: str
) -> Effect:
    notes = (NEGATIVE if estimate < 0 else "", "interval of the population share, by the noncentral F")
    return _effect(means, f"{name} of the condition", estimate, ends, level, f"{null}, its mean under no effect", notes)


def _effect(
    means: PipelineMeans,
    name: str,
    estimate: float,
    ends: tuple[float, float],
    level: float,
    control: str,
    notes: tuple[str, ...],
) -> Effect:
    return Effect(
        estimate=estimate,
        low=float(ends[0]),
        high=float(ends[1]),
        n=means.values.size,
        unit="pipeline seed",
        control=control,
        metric=f"{name} on {means.metric}",
        level=level,
        note="; ".join(filter(None, (*notes, means.note))),
    )
