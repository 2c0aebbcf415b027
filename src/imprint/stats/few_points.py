"""A correlation over few conditions: exact permutation p, Theil-Sen slope, and what each single point does to it."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy import stats

from imprint.errors import InputError
from imprint.stats.correlation_gates import EXACT_POINTS
from imprint.stats.gates import Sides
from imprint.stats.samples import require_sample
from imprint.stats.theil_sen import TheilSen, theil_sen
from imprint.stats.undefined import Undefined

PointCorrelation = Literal["spearman", "pearson"]

LEAST_POINTS = 4
"""Below, no correlation is left when a point is left out."""
FLAG_SHIFT = 0.5
"""A point without which the correlation moves by this much is flagged."""
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class FewPoints:
    """A correlation over n conditions and what it rests on. Positive: conditions with more x have more y."""

    statistic: PointCorrelation
    alternative: Sides
    n: int
    estimate: float
    p: float
    """The share of all pairings of x with y that give as large a correlation ("two-sided": in size)."""
    smallest_p: float
    """What no correlation, however large, can beat with these values."""
    exact: bool
    slope: TheilSen
    left_out: tuple[float | Undefined, ...]
    """The correlation without each point, in order of the points."""
    low: float
    """Of the correlations with one point left out."""
    high: float
    influence: tuple[float | Undefined, ...]
    """`estimate` minus `left_out`: positive = the point raises the correlation."""
    flagged: tuple[int, ...]
    """The points without which the correlation moves by at least .5: it is theirs, not the conditions'."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def few_points(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " m"],
    *,
    statistic: PointCorrelation = "spearman",
    alternative: Sides = "two-sided",
    seed: int = 0,
    draws: int = 20_000,
) -> FewPoints:
    """The correlation of one value x and one value y per condition, exact up to 8 conditions.

    Beyond 8, p is Monte Carlo (b+1)/(draws+1). Which correlation a threshold lets through by chance: `correlation_gate`.

    Raises:
        InputError: lengths differ, fewer than 4 points, or one side is constant.
        SelfCheckFailed: a value is not finite.

    Trust: the point is the condition: average its pipelines first. Of 5 points no two-sided Spearman p below .017
    exists, and half of all noise has a flagged point (5 % to 18 % of 8 points), so a flag says "not this evidence".
    """
    require_points(x, y)
    seen = float(correlations(x[None], y[None], statistic)[0, 0])
    exact = x.size <= EXACT_POINTS
    batches = orders(x.size, seed=seed, draws=draws)
    null = np.concatenate([sided(correlations(x[None], y[order], statistic)[0], alternative) for order in batches])
    hits = int((null >= float(sided(np.array(seen), alternative)) - _TIE).sum())
    top = int((null >= null.max() - _TIE).sum())
    left_out = tuple(_without(x, y, point, statistic) for point in range(x.size))
    known = [value for value in left_out if not isinstance(value, Undefined)]
    influence = tuple(value if isinstance(value, Undefined) else seen - value for value in left_out)
    return FewPoints(
        statistic=statistic,
        alternative=alternative,
        n=x.size,
        estimate=seen,
        p=hits / null.size if exact else (hits + 1) / (null.size + 1),
        smallest_p=top / null.size if exact else 1 / (null.size + 1),
        exact=exact,
        slope=theil_sen(x, y),
        left_out=left_out,
        low=min(known, default=seen),
        high=max(known, default=seen),
        influence=influence,
        flagged=tuple(
            point
            for point, value in enumerate(influence)
            if isinstance(value, Undefined) or abs(value) >= FLAG_SHIFT - _TIE
        ),
    )


def require_points(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"]) -> None:
    """Refuse points that no correlation can be taken of.

    Raises:
        InputError: lengths differ, fewer than 4 points, or one side is constant.
        SelfCheckFailed: a value is not finite.
    """
    if x.shape != y.shape:
        raise InputError(f"{x.size} and {y.size} values cannot be correlated: give one y per x.")
    for values, name in ((x, "x"), (y, "y")):
        require_sample(values, at_least=LEAST_POINTS, name=name)
        if is_constant(values):
            raise InputError(f"{name} is the same at all {values.size} points, so nothing correlates with it.")


def is_constant(values: Float[np.ndarray, " n"]) -> bool:
    """Whether the values agree up to rounding (1e-12 of the largest)."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def correlations(
    first: Float[np.ndarray, "row n"], second: Float[np.ndarray, "column n"], statistic: PointCorrelation
) -> Float64[np.ndarray, "row column"]:
    """The correlation of every row of one with every row of the other; tied values share their mean rank."""
    x, y = (_unit_rows(stats.rankdata(v, axis=1) if statistic == "spearman" else v) for v in (first, second))
    return np.asarray(x @ y.T)


def orders(n: int, *, seed: int, draws: int) -> Iterator[Int[np.ndarray, "order n"]]:
    """All orders of n points up to 8 of them, `draws` random ones beyond, some at a time."""
    if n <= EXACT_POINTS:
        yield _all_orders(n)
        return
    rng, at_once = np.random.default_rng(seed), max(1, 2_000_000 // n)
    for start in range(0, draws, at_once):
        yield rng.permuted(np.tile(np.arange(n), (min(at_once, draws - start), 1)), axis=1)


def sided(found: Float64[np.ndarray, "*shape"], alternative: Sides) -> Float64[np.ndarray, "*shape"]:
    """What is compared with the null: the size of a correlation, or the correlation itself."""
    return np.asarray(np.abs(found)) if alternative == "two-sided" else found


@cache
def _all_orders(n: int) -> Int[np.ndarray, "order n"]:
    return np.array(list(itertools.permutations(range(n))))


def _unit_rows(values: Float[np.ndarray, "row n"]) -> Float64[np.ndarray, "row n"]:
    centred = values.astype(np.float64) - values.astype(np.float64).mean(1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def _without(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], point: int, statistic: PointCorrelation
) -> float | Undefined:
    rest_x, rest_y = np.delete(x, point), np.delete(y, point)
    if is_constant(rest_x) or is_constant(rest_y):
        return Undefined(reason=f"without point {point} one side is constant, so the correlation is that point's alone")
    value = float(correlations(rest_x[None], rest_y[None], statistic)[0, 0])
    return math.copysign(1.0, value) if abs(value) > 1 else value
