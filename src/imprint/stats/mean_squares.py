"""Intervals of a variance component: a mean square, or the difference of two (modified large-sample, Ting et al. 1990)."""

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanSquare:
    """A mean square with its degrees of freedom, distributed as its expectation times chi squared over df."""

    value: float
    df: float


def mean_square_interval(found: MeanSquare, level: float) -> tuple[float, float]:
    """The exact chi-squared interval of the expectation of a mean square of normal values."""
    tail = (1 - level) / 2
    total = found.value * found.df
    return total / float(stats.chi2.isf(tail, found.df)), total / float(stats.chi2.ppf(tail, found.df))


def difference_interval(upper: MeanSquare, lower: MeanSquare, level: float) -> tuple[float, float]:
    """The interval of E[upper] - E[lower]; exact where either is 0, else within about 1 % of `level` (Burdick and Graybill 1992).

    Its ends may be negative, as the estimate may.
    """
    alpha = (1 - level) / 2
    variance_low = _spread(upper, lower, alpha)
    variance_high = _spread(lower, upper, alpha)
    estimate = upper.value - lower.value
    return estimate - math.sqrt(variance_low), estimate + math.sqrt(variance_high)


def _spread(plus: MeanSquare, minus: MeanSquare, alpha: float) -> float:
    """The squared distance to the lower end of E[plus] - E[minus]; with the roles swapped, to its upper end."""
    g = 1 - plus.df / float(stats.chi2.isf(alpha, plus.df))
    h = minus.df / float(stats.chi2.isf(1 - alpha, minus.df)) - 1
    ratio = float(stats.f.isf(alpha, plus.df, minus.df))
    cross = ((ratio - 1) ** 2 - (g * ratio) ** 2 - h**2) / ratio
    return max(0.0, (g * plus.value) ** 2 + (h * minus.value) ** 2 + cross * plus.value * minus.value)
