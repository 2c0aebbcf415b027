"""Gates on correlations over few points: false-positive rate, smallest honest threshold, power."""

import itertools
import math
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy import stats

from imprint.errors import InputError
from imprint.stats.gates import Gate, Sides, chance_gate
from imprint.stats.undefined import Undefined

Correlation = Literal["spearman", "kendall", "pearson"]

EXACT_POINTS = 8
"""Up to this many points all rankings are enumerated."""
_TIE = 1e-9


def correlation_gate(
    statistic: Correlation,
    threshold: float,
    n: int,
    *,
    alternative: Sides = "greater",
    scalars: int = 1,
    seed: int = 0,
    draws: int = 100_000,
) -> Gate:
    """The false-positive rate of "correlation >= threshold" over `n` untied points that are unrelated.

    Pearson is exact for normal values, the rank correlations are enumerated up to n = 8 and Monte Carlo beyond.

    Raises:
        InputError: fewer than 3 points, a threshold outside (0, 1], or no scalar.

    Trust: with ties in the data the steps of a rank correlation shift: take an exact permutation p of the data then.
    """
    _require_correlation(threshold, n)
    mark = f"|{statistic}|" if alternative == "two-sided" else statistic
    if statistic == "pearson":
        return chance_gate(f"{mark} >= {threshold:g}", threshold, n, scalars, _pearson_rate(threshold, n, alternative))
    null = _null(statistic, n, seed, draws)
    hits = int((_sided(null, alternative) >= threshold - _TIE).sum())
    return chance_gate(
        f"{mark} >= {threshold:g}", threshold, n, scalars, hits / null.size, tried=0 if n <= EXACT_POINTS else null.size
    )


def correlation_threshold(
    statistic: Correlation,
    n: int,
    *,
    alpha: float = 0.05,
    alternative: Sides = "greater",
    seed: int = 0,
    draws: int = 100_000,
) -> float | Undefined:
    """The smallest correlation whose gate has a false-positive rate of at most `alpha`; undefined where none has.

    Raises:
        InputError: fewer than 3 points.
    """
    _require_correlation(1.0, n)
    if statistic == "pearson":
        t = float(stats.t.isf(alpha / (2 if alternative == "two-sided" else 1), n - 2))
        return t / math.sqrt(n - 2 + t**2)
    values, counts = np.unique(_sided(_null(statistic, n, seed, draws), alternative).round(9), return_counts=True)
    rates = counts[::-1].cumsum()[::-1] / counts.sum()
    reachable = values[rates <= alpha + _TIE]
    if not reachable.size:
        return Undefined(
            reason=f"{n} points cannot show a {statistic} correlation at alpha={alpha:g}: a perfect one has p={rates[-1]:.3g}"
        )
    return float(reachable[0])


def correlation_gate_power(
    statistic: Correlation,
    threshold: float,
    n: int,
    truth: float,
    *,
    alternative: Sides = "greater",
    seed: int = 0,
    draws: int = 20_000,
) -> float:
    """The chance to pass the gate when the points have a true correlation `truth` (Pearson's, bivariate normal).

    Raises:
        InputError: fewer than 3 points, a threshold outside (0, 1], or a truth outside (-1, 1).

    Trust: Monte Carlo with `draws` studies, so two digits.
    """
    _require_correlation(threshold, n)
    if not -1 < truth < 1:
        raise InputError(f"truth={truth} must lie strictly between -1 and 1: it is the correlation you hope for.")
    first, second = np.random.default_rng(seed).standard_normal((2, draws, n))
    second = truth * first + math.sqrt(1 - truth**2) * second
    found = _sided(_MEASURES[statistic](first, second), alternative)
    return float((found >= threshold - _TIE).mean())


def _require_correlation(threshold: float, n: int) -> None:
    if n < 3 or not 0 < threshold <= 1:
        raise InputError(
            f"threshold={threshold} over n={n} points is no gate: give one in (0, 1] and at least 3 points."
        )


def _sided(found: Float64[np.ndarray, " draw"], alternative: Sides) -> Float64[np.ndarray, " draw"]:
    return np.abs(found) if alternative == "two-sided" else found


def _pearson_rate(threshold: float, n: int, alternative: Sides) -> float:
    if threshold == 1:
        return 0.0
    tail = float(stats.t.sf(threshold * math.sqrt((n - 2) / (1 - threshold**2)), n - 2))
    return 2 * tail if alternative == "two-sided" else tail


def _null(statistic: Correlation, n: int, seed: int, draws: int) -> Float64[np.ndarray, " draw"]:
    if n <= EXACT_POINTS:
        ranks = np.array(list(itertools.permutations(range(n))), dtype=np.float64)
    else:
        ranks = np.random.default_rng(seed).permuted(np.tile(np.arange(n, dtype=np.float64), (draws, 1)), axis=1)
    return _MEASURES[statistic](np.broadcast_to(np.arange(n, dtype=np.float64), ranks.shape), ranks)


def _pearsons(
    first: Float64[np.ndarray, "draw n"], second: Float64[np.ndarray, "draw n"]
) -> Float64[np.ndarray, " draw"]:
    x, y = first - first.mean(1, keepdims=True), second - second.mean(1, keepdims=True)
    return np.asarray((x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1)))


def _spearmans(
    first: Float64[np.ndarray, "draw n"], second: Float64[np.ndarray, "draw n"]
) -> Float64[np.ndarray, " draw"]:
    x, y = (values.argsort(1).argsort(1).astype(np.float64) for values in (first, second))
    return _pearsons(x, y)


def _kendalls(
    first: Float64[np.ndarray, "draw n"], second: Float64[np.ndarray, "draw n"]
) -> Float64[np.ndarray, " draw"]:
    found = np.zeros(first.shape[0])
    for one, other in itertools.combinations(range(first.shape[1]), 2):
        found += np.sign((first[:, one] - first[:, other]) * (second[:, one] - second[:, other]))
    return found / math.comb(first.shape[1], 2)


_MEASURES = {"spearman": _spearmans, "kendall": _kendalls, "pearson": _pearsons}
