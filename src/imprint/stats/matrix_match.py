"""Does a matrix of effects give back who caused what? Specificity, one-to-one match, and correlation with the truth.

Rows are clusters, columns abilities, effects positive where a cluster's perturbation hurts an ability.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.optimize import linear_sum_assignment

from imprint.errors import InputError
from imprint.stats.ranking import spearman
from imprint.stats.samples import require_sample

_MOST_EXACT = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """The one-to-one match of clusters to abilities with the largest summed effect."""

    abilities: tuple[int, ...]
    """For each cluster the column that it is matched with."""
    margin: float
    """Mean effect of the matched cells minus that of all others."""
    dominant: int
    """How many matched cells are the largest of their row and of their column."""
    p: float
    """Chance of a matched sum as large when the effects of each row are shuffled over abilities."""

    def recovers(self, truth: Sequence[int]) -> bool:
        """True when every cluster is matched with its true ability and every match dominates its row and column."""
        return self.abilities == tuple(truth) and self.dominant == len(self.abilities)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixCorrelation:
    """Spearman's correlation of two matrices over their cells."""

    rho: float
    p: float
    """One-sided p that rows and columns of the first are matched to those of the second at random."""
    cells: int
    relabellings: int
    """How many pairs of row and column orders were tried; exact when that is all of them."""
    exact: bool


def specificity(phi: Float[np.ndarray, "cluster ability"]) -> Float64[np.ndarray, "cluster ability"]:
    """The effect on each ability minus the mean effect of the same cluster on the other abilities.

    Raises:
        InputError: fewer than 2 abilities.
    """
    if phi.shape[1] < 2:
        raise InputError("specificity compares abilities, and there is only one: measure at least 2.")
    others = (phi.sum(1, keepdims=True) - phi) / (phi.shape[1] - 1)
    return np.asarray(phi - others, dtype=np.float64)


def assignment(phi: Float[np.ndarray, "cluster ability"], *, seed: int = 0, draws: int = 5000) -> Assignment:
    """The best one-to-one match (Hungarian method), with a permutation p: effects shuffled within rows.

    Raises:
        InputError: more clusters than abilities, or fewer than 2 of either.
        SelfCheckFailed: an effect is not finite.
    """
    rows, columns = phi.shape
    if rows > columns or min(phi.shape) < 2:
        raise InputError(
            f"{rows} clusters cannot be matched one to one with {columns} abilities: give as many of each."
        )
    require_sample(phi, name="the effects")
    _, matched = linear_sum_assignment(phi, maximize=True)
    chosen = np.zeros(phi.shape, dtype=bool)
    chosen[np.arange(rows), matched] = True
    found = float(phi[chosen].sum())
    rng = np.random.default_rng(seed)
    null = [_best_sum(rng.permuted(phi, axis=1)) for _ in range(draws)]
    return Assignment(
        abilities=tuple(int(column) for column in matched),
        margin=float(phi[chosen].mean() - phi[~chosen].mean()),
        dominant=_dominant(phi, chosen),
        p=(sum(value >= found - 1e-12 * abs(found) for value in null) + 1) / (draws + 1),
    )


def matched_p(phi: Float[np.ndarray, "cluster ability"], truth: Sequence[int]) -> float:
    """Exact p that the known match has so large a summed effect: its rank among all matches (1/24 at best for 4 by 4).

    Raises:
        InputError: `truth` is no one-to-one match of the rows, or there are more than 8 rows.
    """
    rows, columns = phi.shape
    if rows > 8 or rows != columns or sorted(truth) != list(range(rows)):
        raise InputError(f"a match of {rows} clusters needs each of 0 to {rows - 1} once, for 8 clusters at most.")
    lines = np.arange(rows)
    sums = np.array([phi[lines, list(order)].sum() for order in permutations(range(columns))])
    return float(np.mean(sums >= phi[lines, list(truth)].sum() - 1e-12))


def matrix_correlation(
    phi: Float[np.ndarray, "cluster ability"],
    psi: Float[np.ndarray, "cluster_too ability_too"],
    *,
    seed: int = 0,
    draws: int = 5000,
) -> MatrixCorrelation:
    """Spearman's rho of Φ and Ψ over all cells, and its p when the rows and the columns of Φ are relabelled.

    All relabellings are tried up to 50 000 of them (24 x 24 for four by four), else `draws` random ones.

    Raises:
        InputError: shapes differ, or one matrix is constant.
        SelfCheckFailed: a cell is not finite.

    Trust: the ranks of near-zero cells are noise, so a perfect diagonal of four leaves rho near .75, not at 1.
    """
    if phi.shape != psi.shape:
        raise InputError(f"matrices of {phi.shape} and {psi.shape} cells cannot be compared: use the same labels.")
    rho = spearman(phi.ravel(), psi.ravel())
    count = math.factorial(phi.shape[0]) * math.factorial(phi.shape[1])
    exact = count <= _MOST_EXACT
    from_ranks = _ranks(phi), _ranks(psi)
    null = _all_relabelled(*from_ranks) if exact else _some_relabelled(*from_ranks, seed, draws)
    observed = float((from_ranks[0] * from_ranks[1]).sum())
    reached = int((null >= observed - 1e-9).sum())
    return MatrixCorrelation(
        rho=rho,
        p=reached / len(null) if exact else (reached + 1) / (len(null) + 1),
        cells=phi.size,
        relabellings=len(null),
        exact=exact,
    )


def _best_sum(phi: np.ndarray) -> float:
    return float(phi[linear_sum_assignment(phi, maximize=True)].sum())


def _dominant(phi: np.ndarray, chosen: Bool[np.ndarray, "cluster ability"]) -> int:
    largest = (phi >= phi.max(1, keepdims=True)) & (phi >= phi.max(0, keepdims=True))
    alone = ((phi == phi.max(1, keepdims=True)).sum(1) == 1)[:, None]
    return int((largest & alone & chosen).sum())


def _ranks(matrix: np.ndarray) -> Float64[np.ndarray, "cluster ability"]:
    """Centred ranks over all cells: their product over cells grows with rho and with nothing else."""
    flat = matrix.ravel()
    ordered = np.sort(flat)
    middle = (np.searchsorted(ordered, flat, "left") + np.searchsorted(ordered, flat, "right")) / 2
    return np.asarray((middle - middle.mean()).reshape(matrix.shape))


def _all_relabelled(first: np.ndarray, second: np.ndarray) -> Float64[np.ndarray, " relabelling"]:
    rows, columns = (np.array(list(permutations(range(size)))) for size in first.shape)
    by_rows = first[rows]  # (row order, cluster, ability)
    return np.concatenate([(by_rows[:, :, order] * second).sum((1, 2)) for order in columns])


def _some_relabelled(
    first: np.ndarray, second: np.ndarray, seed: int, draws: int
) -> Float64[np.ndarray, " relabelling"]:
    rng = np.random.default_rng(seed)
    orders = [np.ix_(rng.permutation(first.shape[0]), rng.permutation(first.shape[1])) for _ in range(draws)]
    return np.array([(first[order] * second).sum() for order in orders])
