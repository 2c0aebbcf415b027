"""Agreement of two rankings of the same rows: Spearman over all of them, and how much of the top they share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
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
    """The overlap that two unrelated rankings have on average: the share of rows that the top holds."""
    p: float
    """One-sided hypergeometric: an overlap as large or larger between unrelated tops of this size."""
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
) -> Agreement:
    """The agreement of two scorings of the same rows.

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
    flat = bool(np.ptp(one) == 0 or np.ptp(other) == 0)
    return Agreement(
        one=names[0],
        other=names[1],
        spearman=None if flat else spearman(one.astype(np.float64), other.astype(np.float64)),
        overlap=shared / size,
        chance=size / rows,
        p=float(hypergeom.sf(shared - 1, rows, size, size)),
        rows=rows,
    )


def all_pairs(scores: Mapping[str, Float[np.ndarray, " row"]], *, fraction: float) -> tuple[Agreement, ...]:
    """The agreement of every pair of named scorings of the same rows, in their order."""
    return tuple(
        agree(scores[one], scores[other], fraction=fraction, names=(one, other))
        for one, other in combinations(scores, 2)
    )
