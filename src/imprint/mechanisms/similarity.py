"""Whether two representations say the same: centred kernel alignment and angles between subspaces."""

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg, stats

from imprint.errors import CorpusError
from imprint.mechanisms.moments import blocks
from imprint.stats import Effect

_LEAST_ROWS = 4


def cka(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m e"], *, debiased: bool = True) -> float:
    """Linear centred kernel alignment of two representations of the same rows; 1 = equal up to rotation and scale.

    Debiased (Song et al.'s unbiased HSIC in Kornblith et al. 2019): independent data give 0 on average, sometimes a little
    less. Plain: independent data give .116 at n = 500, d = 64 and .58 at n = 50 (METHODS §5), so it needs n >> d.
    Streams over the rows.

    Raises:
        CorpusError: different numbers of rows, fewer than 4, or a representation that does not vary.

    Trust: dominated by the directions of largest variance, so two models can differ in what a task needs and score .99;
    rows of one document are not independent (`cka_effect` resamples documents).
    """
    if len(first) != len(second) or len(first) < _LEAST_ROWS:
        raise CorpusError(
            f"CKA compares at least {_LEAST_ROWS} rows in the same order: got {len(first)} and {len(second)}."
        )
    cross, own_first, own_second = _inner_products(first, second, debiased=debiased)
    if own_first <= 0 or own_second <= 0:
        raise CorpusError("CKA is undefined for a representation that (almost) never varies: choose another site.")
    return float(cross / np.sqrt(own_first * own_second))


def cka_effect(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "n e"],
    documents: Int[np.ndarray, "n"],
    *,
    groups: int = 20,
    level: float = 0.95,
) -> Effect:
    """Debiased CKA with a jackknife interval: `groups` sets of documents are left out in turn.

    Raises:
        CorpusError: fewer than 4 documents.
    """
    names, place = np.unique(documents, return_inverse=True)
    count = min(groups, len(names))
    if count < _LEAST_ROWS:
        raise CorpusError(f"{len(names)} document(s) leave no interval for CKA: give at least {_LEAST_ROWS}.")
    group = place.reshape(-1) % count
    whole = cka(first, second)
    left = np.array([cka(first[group != name], second[group != name]) for name in range(count)])
    error = float(np.sqrt((count - 1) / count * np.square(left - left.mean()).sum()))
    half = float(stats.t.ppf(0.5 + level / 2, count - 1)) * error
    return Effect(
        estimate=whole,
        low=whole - half,
        high=whole + half,
        n=len(names),
        unit="document",
        control="0 for independent representations",
        metric="debiased CKA",
        level=level,
    )


def principal_angles(first: Float[np.ndarray, "d r"], second: Float[np.ndarray, "d s"]) -> Float[np.ndarray, "angle"]:
    """Angles between two subspaces in radians, smallest first: 0 = a shared direction, pi/2 = an orthogonal one.

    The columns need not be orthonormal. Source: Knyazev and Argentati 2002 (accurate for small angles too).
    """
    return np.asarray(linalg.subspace_angles(first, second))[::-1].copy()


def subspace_overlap(first: Float[np.ndarray, "d r"], second: Float[np.ndarray, "d s"]) -> float:
    """Mean squared cosine of the principal angles: 1 = the smaller lies in the larger; chance is max(r, s) / d."""
    return float(np.square(np.cos(principal_angles(first, second))).mean())


def _inner_products(first: np.ndarray, second: np.ndarray, *, debiased: bool) -> tuple[float, float, float]:
    """HSIC of (first, second), (first, first) and (second, second), up to one common factor."""
    n = len(first)
    centre_a, centre_b = (sum(block.sum(0) for _, block in blocks(array)) / n for array in (first, second))
    d, e = first.shape[1], second.shape[1]
    ab, aa, bb = np.zeros((d, e)), np.zeros((d, d)), np.zeros((e, e))
    length_a, length_b = np.zeros(n), np.zeros(n)
    # The two arrays may be cut into blocks of different sizes: cut the second as the first.
    for span, block in blocks(first):
        a, b = block - centre_a, np.asarray(second[span], dtype=np.float64) - centre_b
        ab += a.T @ b
        aa += a.T @ a
        bb += b.T @ b
        length_a[span], length_b[span] = np.square(a).sum(1), np.square(b).sum(1)

    def product(cross: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
        biased = float(np.square(cross).sum())
        return _unbiased(biased, one, other) if debiased else biased

    return product(ab, length_a, length_b), product(aa, length_a, length_a), product(bb, length_b, length_b)


def _unbiased(product: float, first: np.ndarray, second: np.ndarray) -> float:
    """The U-statistic of HSIC from the biased product and the squared lengths of the centred rows."""
    n = len(first)
    return float(product - n / (n - 2) * (first * second).sum() + first.sum() * second.sum() / ((n - 1) * (n - 2)))
