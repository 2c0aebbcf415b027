"""What must not change a score: that a row comes twice, and how many rows are scored at a time."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

Scorer = Callable[[Int[np.ndarray, "row"]], Float[np.ndarray, "query row"]]
"""Scores of the training rows with these indices, in this order, of one fixed model."""


def duplicate_gap(score: Scorer, rows: int, *, repeated: Sequence[int]) -> float:
    """The largest difference between two copies of a row, relative to the largest score; 0 is right (AT-IF-8).

    Trust: for methods that see one model. A method that follows the order of training may tell copies apart, rightly.
    """
    order = np.concatenate([np.arange(rows), np.asarray(repeated)])
    scores = score(order)
    return relative_gap(scores[:, list(repeated)], scores[:, rows:], scale=float(np.abs(scores).max()))


def batch_gap(score: Callable[[int], Float[np.ndarray, "query row"]], batches: Sequence[int]) -> float:
    """The largest difference between scores computed in batches of different sizes, relative to the largest score."""
    first, *others = (score(batch) for batch in batches)
    return max(relative_gap(first, other, scale=float(np.abs(first).max())) for other in others)


def relative_gap(x: Float[np.ndarray, "*shape"], y: Float[np.ndarray, "*shape"], *, scale: float) -> float:
    """The largest |x - y| over `scale`; infinite if there is no scale and they differ."""
    gap = float(np.abs(x - y).max())
    if scale > 0:
        return gap / scale
    return 0.0 if gap == 0 else float("inf")
