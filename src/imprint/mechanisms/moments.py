"""Mean, covariance and fourth moment of stored activations, block by block, and their averages over documents."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from imprint.errors import CorpusError, SelfCheckFailed

_NUMBERS_AT_ONCE = 2**22
"""A block in double precision takes about 32 MB."""


def blocks(
    states: Float[np.ndarray, "n d"], rows: Int[np.ndarray, "chosen"] | None = None
) -> Iterator[tuple[slice, Float[np.ndarray, "block d"]]]:
    """Double-precision copies of `states` (or of its `rows`), some 32 MB at a time, each with its place in that order.

    The array may be a memory map of half floats; it is never loaded whole.

    Raises:
        SelfCheckFailed: an activation is NaN or infinite (half floats overflow above 65 504).
    """
    count = len(states) if rows is None else len(rows)
    size = max(1, _NUMBERS_AT_ONCE // max(1, states.shape[1]))
    for start in range(0, count, size):
        place = slice(start, min(start + size, count))
        block = np.array(states[place] if rows is None else states[rows[place]], dtype=np.float64)
        if not np.isfinite(block).all():
            raise SelfCheckFailed(
                f"Activations {start} to {place.stop} hold a value that is not finite: a half float overflowed or the "
                "run diverged; capture this site in float32."
            )
        yield place, block


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """What a sample of activations leaves behind for means, covariances and their shrinkage."""

    n: int
    mean: Float[np.ndarray, "d"]
    covariance: Float[np.ndarray, "d d"]
    """Divided by n, not by n - 1."""
    fourth: float
    """Mean over rows of the fourth power of the distance from the mean: what Ledoit-Wolf needs beside the covariance."""


def moments(states: Float[np.ndarray, "n d"], rows: Int[np.ndarray, "chosen"] | None = None) -> Moments:
    """Mean, covariance and fourth moment of the rows, in two passes (no cancellation from a large mean).

    Raises:
        CorpusError: fewer than 2 rows.
        SelfCheckFailed: an activation is not finite.
    """
    n, d = len(states) if rows is None else len(rows), states.shape[1]
    if n < 2:
        raise CorpusError(
            f"{n} activation(s) have no covariance: give at least 2, better ten times the {d} dimensions."
        )
    mean = sum((block.sum(0) for _, block in blocks(states, rows)), np.zeros(d)) / n
    scatter, fourth = np.zeros((d, d)), 0.0
    for _, block in blocks(states, rows):
        block -= mean
        scatter += block.T @ block
        fourth += float(np.square(np.einsum("nd,nd->n", block, block)).sum())
    return Moments(n=n, mean=mean, covariance=scatter / n, fourth=fourth / n)


def pooled(first: Moments, second: Moments) -> Moments:
    """The moments of two samples around their own means: the within-group covariance; the mean is that of `first`."""
    n = first.n + second.n
    share = first.n / n
    return Moments(
        n=n,
        mean=first.mean,
        covariance=share * first.covariance + (1 - share) * second.covariance,
        fourth=share * first.fourth + (1 - share) * second.fourth,
    )


def ledoit_wolf(sample: Moments) -> tuple[Float[np.ndarray, "d d"], float]:
    """The Ledoit-Wolf covariance (shrunk to a multiple of the identity, so invertible) and its shrinkage in [0, 1].

    Equal to scikit-learn's `LedoitWolf`. Source: Ledoit and Wolf 2004, Lemma 3.4.
    Trust: the shrinkage assumes independent rows; for tokens of few documents it is too weak.
    """
    d = len(sample.mean)
    scale = float(np.trace(sample.covariance)) / d
    squared = float(np.square(sample.covariance).sum())
    distance = squared / d - scale**2
    noise = min((sample.fourth - squared) / (d * sample.n), distance)
    shrinkage = 0.0 if noise <= 0 else noise / distance
    return (1 - shrinkage) * sample.covariance + shrinkage * scale * np.eye(d), shrinkage


def whitener(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """W with |W x|^2 = x' covariance^-1 x: the inverse of the Cholesky factor.

    Raises:
        SelfCheckFailed: the covariance is not positive definite.
    """
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise SelfCheckFailed(
            "The covariance of the activations is singular, so distances do not exist: some dimension never varies; "
            "use the Ledoit-Wolf covariance or more activations."
        ) from None
    return np.asarray(np.linalg.inv(factor))


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentMeans:
    """One row per document, or per document and cluster: the mean of its activations."""

    documents: Int[np.ndarray, "row"]
    labels: Int[np.ndarray, "row"]
    """The cluster of each row; -1 where none was given."""
    means: Float[np.ndarray, "row d"]
    tokens: Int[np.ndarray, "row"]


def document_means(
    states: Float[np.ndarray, "token d"],
    documents: Int[np.ndarray, "token"],
    labels: Int[np.ndarray, "token"] | None = None,
) -> DocumentMeans:
    """Average the activations of each document, or of each document and cluster if tokens carry cluster `labels`.

    Tokens of a document are not independent: test and resample these rows instead.
    Trust: with token labels a document gives one row per cluster it touches; those rows are still related, which makes
    a test of a cluster against the rest conservative, not liberal.
    """
    marks = np.full(len(documents), -1) if labels is None else labels
    cells, place, tokens = np.unique(np.stack([documents, marks], 1), axis=0, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    totals = group_sums(states, place, len(cells))
    return DocumentMeans(
        documents=cells[:, 0].copy(), labels=cells[:, 1].copy(), means=totals / tokens[:, None], tokens=tokens
    )


def group_sums(
    states: Float[np.ndarray, "token d"], place: Int[np.ndarray, "token"], groups: int
) -> Float[np.ndarray, "group d"]:
    """The sum of the activations of each group; `place` gives the group of each row, from 0."""
    totals = np.zeros((groups, states.shape[1]))
    for span, block in blocks(states):
        size = span.stop - span.start
        pick = sparse.csr_array((np.ones(size), (place[span], np.arange(size))), shape=(groups, size))
        totals += pick @ block
    return totals
