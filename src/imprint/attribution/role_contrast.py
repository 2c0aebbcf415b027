"""Do induction heads share their top rows with each other more than with other heads? Means with intervals, and a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod

import numpy as np
from jaxtyping import Bool, Float64, Int

INDUCTION = "induction"
_EXACT = 20_000
"""Up to so many arrangements of a role are all looked at."""
_FEWEST = 20
"""With fewer arrangements no p of 5 % exists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A value with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleContrast:
    """Mean overlap of the tops among induction heads, and between induction and other heads, of one query."""

    within: Interval | None
    """Among pairs of induction heads; None where there are fewer than two."""
    between: Interval | None
    """Between an induction head and another; None where there is none of either."""
    between_same_layer: Interval | None
    """The same, other heads of the induction heads' layers only: they read the same input."""
    chance: float
    difference: Interval | None
    """Within less between: positive = induction heads share more of their top than they do with others."""
    p: float | None
    """One-sided, when the role is dealt anew to the heads of each layer; None where it cannot be computed."""
    arrangements: int
    """How many ways there are to deal the role; p is at least one over it."""
    note: str


def role_contrast(
    heads: Sequence[str],
    roles: Mapping[str, str],
    overlap: Float64[np.ndarray, "head head"],
    drawn: Float64[np.ndarray, "draw head head"],
    *,
    chance: float,
    seed: int = 0,
    draws: int = 2000,
) -> RoleContrast:
    """Mean overlap among induction heads against that with other heads; `drawn` are bootstrap samples of the matrix.

    p counts the ways to deal the role within each layer (exactly up to 20 000, else by `draws` samples) whose contrast
    is at least as large. Trust: with few heads no p below 1 / arrangements exists.
    """
    role = np.array([roles[head] == INDUCTION for head in heads], dtype=bool)
    layers = np.array([_layer(head) for head in heads], dtype=np.int64)
    shared = np.isin(layers, layers[role])
    within, between = _pairs(role, role), _pairs(role, ~role)
    difference, p, note = None, None, ""
    arrangements = prod(comb(int((layers == layer).sum()), int(role[layers == layer].sum())) for layer in set(layers))
    if not within.any() or not between.any():
        note = f"{int(role.sum())} induction head(s) of {len(heads)}: at least 2, and one other head, are needed to compare"
    else:
        difference = _interval(
            overlap[within].mean() - overlap[between].mean(), drawn[:, within].mean(1) - drawn[:, between].mean(1)
        )
        dealt = _dealt(role, layers, arrangements, seed, draws)
        contrasts = np.array([_contrast(overlap, other) for other in dealt])
        reached = int((contrasts >= difference.estimate - 1e-12).sum())
        p = reached / len(contrasts) if arrangements <= _EXACT else (reached + 1) / (len(contrasts) + 1)
        if arrangements < _FEWEST:
            p, note = (
                None,
                (
                    f"the role can be dealt to the heads of its layers in {arrangements} way(s) only, too few for a test at 5 %"
                ),
            )
    return RoleContrast(
        within=_mean(overlap, drawn, within),
        between=_mean(overlap, drawn, between),
        between_same_layer=_mean(overlap, drawn, between & np.outer(shared, shared)),
        chance=chance,
        difference=difference,
        p=p,
        arrangements=arrangements,
        note=note,
    )


def _interval(estimate: float, drawn: Float64[np.ndarray, " draw"]) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(estimate=float(estimate), low=float(min(low, estimate)), high=float(max(high, estimate)))


def _mean(
    overlap: Float64[np.ndarray, "head head"],
    drawn: Float64[np.ndarray, "draw head head"],
    pairs: Bool[np.ndarray, "head head"],
) -> Interval | None:
    return _interval(overlap[pairs].mean(), drawn[:, pairs].mean(1)) if pairs.any() else None


def _pairs(ones: Bool[np.ndarray, " head"], others: Bool[np.ndarray, " head"]) -> Bool[np.ndarray, "head head"]:
    """Each unordered pair of one of these with one of those, once."""
    either = np.outer(ones, others)
    return np.asarray(np.triu(either | either.T, 1))


def _contrast(overlap: Float64[np.ndarray, "head head"], role: Bool[np.ndarray, " head"]) -> float:
    return float(overlap[_pairs(role, role)].mean() - overlap[_pairs(role, ~role)].mean())


def _dealt(
    role: Bool[np.ndarray, " head"], layers: Int[np.ndarray, " head"], arrangements: int, seed: int, draws: int
) -> list[Bool[np.ndarray, " head"]]:
    """The role dealt anew to as many heads of each layer: every way, or a sample of them."""
    places = [np.flatnonzero(layers == layer) for layer in np.unique(layers)]
    if arrangements <= _EXACT:
        each = [combinations(place.tolist(), int(role[place].sum())) for place in places]
        return [_holding(len(role), [head for chosen in way for head in chosen]) for way in product(*each)]
    rng = np.random.default_rng(seed)
    return [
        _holding(
            len(role), [head for place in places for head in rng.permutation(place)[: int(role[place].sum())].tolist()]
        )
        for _ in range(draws)
    ]


def _holding(count: int, chosen: Sequence[int]) -> Bool[np.ndarray, " head"]:
    held = np.zeros(count, dtype=bool)
    held[list(chosen)] = True
    return held


def _layer(head: str) -> int:
    return int(head.split(".")[0].removeprefix("L"))
