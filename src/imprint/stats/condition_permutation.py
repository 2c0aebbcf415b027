"""Does the condition matter? Whole pipelines shuffled over conditions, every arrangement where there are few."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int

from imprint.stats.nest import Nest, pipeline_means

GroupStatistic = Literal["F", "range ratio"]
EXACT_ARRANGEMENTS = 20_000
"""Up to this many different arrangements all are enumerated."""
_NUMBERS_AT_ONCE = 2_000_000
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionPermutation:
    """A permutation test of the conditions, its units being pipelines."""

    statistic: GroupStatistic
    p: float
    """The chance of as large a statistic when condition labels mean nothing."""
    exact: bool
    arrangements: int
    """Different ways to deal the pipelines to conditions, of which all (exact) or `draws` random ones were tried."""
    draws: int
    smallest_p: float
    """What no effect, however large, can beat in this design."""
    pipelines: int
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def condition_permutation(
    nest: Nest, *, seed: int, statistic: GroupStatistic = "F", draws: int = 20_000
) -> ConditionPermutation:
    """The permutation p that conditions differ, pipelines being shuffled whole over conditions.

    Exact up to 20 000 different arrangements, Monte Carlo (b+1)/(draws+1) beyond.

    Raises:
        InputError: conditions cannot be told from pipelines (see `imprint.stats.nest.require_pipelines`).

    Trust: exchangeable pipelines, so equal spread in all conditions; with 2 conditions of 3 pipelines no p below .1 exists.
    """
    means = pipeline_means(nest)
    sizes = [int(size) for size in means.sizes]
    measure = _MEASURES[statistic]
    centred = means.values - means.values.mean()
    seen = float(measure(centred[None], sizes)[0]) * (1 - _TIE)
    different = arrangements(sizes)
    exact = different <= EXACT_ARRANGEMENTS
    batches = _all_orders(sizes) if exact else _random_orders(centred.size, draws, seed)
    hits = sum(int((measure(centred[orders], sizes) >= seen).sum()) for orders in batches)
    return ConditionPermutation(
        statistic=statistic,
        p=hits / different if exact else (hits + 1) / (draws + 1),
        exact=exact,
        arrangements=different,
        draws=different if exact else draws,
        smallest_p=1 / different if exact else max(1 / different, 1 / (draws + 1)),
        pipelines=centred.size,
        note=means.note,
    )


def arrangements(sizes: list[int]) -> int:
    """In how many different ways pipelines can be dealt to groups of these sizes, groups of equal size being alike."""
    ways = math.factorial(sum(sizes))
    for size in sizes:
        ways //= math.factorial(size)
    for size in set(sizes):
        ways //= math.factorial(sizes.count(size))
    return ways


def group_ratios(values: Float64[np.ndarray, "draw pipeline"], sizes: list[int]) -> Float64[np.ndarray, " draw"]:
    """Range of the group means over the median of the groups' standard deviations; infinite where that is 0."""
    parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    groups = np.stack([part.mean(1) for part in parts])
    spread = np.median([part.std(1, ddof=1) for part in parts if part.shape[1] > 1], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.ptp(groups, axis=0) / spread
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=np.inf))


def _between(values: Float64[np.ndarray, "draw pipeline"], sizes: list[int]) -> Float64[np.ndarray, " draw"]:
    """The share of the sum of squares between groups, which orders arrangements as F does."""
    starts = np.cumsum([0, *sizes[:-1]])
    between = (np.add.reduceat(values, starts, axis=1) ** 2 / np.array(sizes)).sum(1)
    total = (values**2).sum(1)
    return np.asarray(np.divide(between, total, out=np.zeros_like(between), where=total > 0))


_MEASURES: dict[GroupStatistic, Callable[[np.ndarray, list[int]], np.ndarray]] = {
    "F": _between,
    "range ratio": group_ratios,
}


def _random_orders(n: int, draws: int, seed: int) -> Iterator[Int[np.ndarray, "draw pipeline"]]:
    rng = np.random.default_rng(seed)
    at_once = max(1, _NUMBERS_AT_ONCE // n)
    for start in range(0, draws, at_once):
        block = np.tile(np.arange(n), (min(at_once, draws - start), 1))
        yield rng.permuted(block, axis=1)


def _all_orders(sizes: list[int]) -> Iterator[Int[np.ndarray, "draw pipeline"]]:
    yield np.array(list(_deals(tuple(range(sum(sizes))), tuple(sizes))))


def _deals(left: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All deals of `left` to groups in order; of groups of equal size, the one with the lowest member comes first."""
    if not sizes:
        yield ()
        return
    for group in itertools.combinations(left, sizes[0]):
        rest = tuple(member for member in left if member not in group)
        for deal in _deals(rest, sizes[1:]):
            if sizes[0] not in sizes[1:] or group[0] < deal[_start(sizes)]:
                yield group + deal


def _start(sizes: tuple[int, ...]) -> int:
    """Where, in the deal of the later groups, the next group of the first one's size starts."""
    return sum(sizes[1 : sizes.index(sizes[0], 1)])
