"""Agreement of two rankings of the same rows: Spearman over all of them, and how much of the top they share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.stats import hypergeom

from imprint.errors import InputError
from imprint.stats import spearman
from imprint.stats.samples import top_count


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far two rankings of the same rows agree; 1 = the same ranking, the same top."""

    one: str
    other: str
    spearman: float | None
    """Over all rows; None where one ranking gives every row the same score."""
    overlap: float
    """Share of the one's top rows that are in the other's top too."""
    chance: float
    """The overlap that two tops have on average which share no more than how much of each group they hold."""
    p: float
    """One-sided hypergeometric, group by group: an overlap as large or larger between such tops."""
    rows: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, for JSON."""
        return asdict(self)


def top_mask(scores: Float[np.ndarray, " row"], fraction: float) -> Bool[np.ndarray, " row"]:
    """True for the rows in the top `fraction`; rows with equal scores come in their order."""
    mask = np.zeros(len(scores), dtype=bool)
    mask[np.argsort(-scores, kind="stable")[: top_count(len(scores), fraction)]] = True
    return mask


def agree(
    one: Float[np.ndarray, " row"],
    other: Float[np.ndarray, " other_row"],
    *,
    fraction: float,
    names: tuple[str, str] = ("one", "other"),
    groups: Shaped[np.ndarray, " row"] | None = None,
) -> Agreement:
    """The agreement of two scorings of the same rows, beyond that of their groups (domains) where these are given.

    Trust: p takes rows as independent; passages of one document, or near-duplicates, make it too small. Two rankings may
    agree because both follow the length or the loss of a row: compare with the agreement of the baselines.

    Raises:
        InputError: scores of different rows, or a fraction outside (0, 1).
        SelfCheckFailed: a score is not finite.
    """
    if one.shape != other.shape:
        raise InputError(f"{one.size} and {other.size} scores cannot be compared: give scores of the same rows.")
    tops = top_mask(one, fraction), top_mask(other, fraction)
    size, shared, rows = int(tops[0].sum()), int((tops[0] & tops[1]).sum()), len(one)
    groups = np.zeros(rows, dtype=np.int64) if groups is None else groups
    flat = bool(np.ptp(one) == 0 or np.ptp(other) == 0)
    return Agreement(
        one=names[0],
        other=names[1],
        spearman=None if flat else spearman(one.astype(np.float64), other.astype(np.float64)),
        overlap=shared / size,
        chance=expected_overlap(*tops, groups),
        p=_chance_of_sharing(shared, *tops, groups),
        rows=rows,
    )


def expected_overlap(
    one: Bool[np.ndarray, " row"], other: Bool[np.ndarray, " row"], groups: Shaped[np.ndarray, " row"]
) -> float:
    """The share of the one's rows that the other holds too, if within each group the two had nothing to do with each other."""
    inside = [groups == group for group in np.unique(groups)]
    return float(sum((one & mask).sum() * (other & mask).sum() / mask.sum() for mask in inside) / one.sum())


def _chance_of_sharing(
    shared: int, one: Bool[np.ndarray, " row"], other: Bool[np.ndarray, " row"], groups: Shaped[np.ndarray, " row"]
) -> float:
    """P(as many shared rows or more): the sum over groups of hypergeometric counts, by convolution."""
    total = np.ones(1)
    for group in np.unique(groups):
        mask = groups == group
        mine, theirs = int((one & mask).sum()), int((other & mask).sum())
        counts = np.arange(min(mine, theirs) + 1)
        total = np.convolve(total, hypergeom.pmf(counts, int(mask.sum()), mine, theirs))
    return float(min(total[shared:].sum(), 1.0))


def all_pairs(
    scores: Mapping[str, Float[np.ndarray, " row"]],
    *,
    fraction: float,
    groups: Shaped[np.ndarray, " row"] | None = None,
) -> tuple[Agreement, ...]:
    """The agreement of every pair of named scorings of the same rows, in their order."""
    return tuple(
        agree(scores[one], scores[other], fraction=fraction, names=(one, other), groups=groups)
        for one, other in combinations(scores, 2)
    )
