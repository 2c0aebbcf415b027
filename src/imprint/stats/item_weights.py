"""Bootstrap weights of items, for one set of items or for items within groups, in blocks of bounded memory.

One product of weights and items gives every resampled mean of every perturbation, all from the same resamples.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Shaped

_NUMBERS_AT_ONCE = 4_000_000


def item_weights(
    items: int, groups: Shaped[np.ndarray, " item"] | None, *, seed: int, draws: int
) -> Iterator[Float64[np.ndarray, "draw item"]]:
    """Bootstrap weights that add to 1 for each draw, in blocks of bounded memory; groups are resampled before items."""
    rng = np.random.default_rng(seed)
    block = max(1, _NUMBERS_AT_ONCE // items)
    for start in range(0, draws, block):
        count = min(block, draws - start)
        drawn = _plain_counts(items, count, rng) if groups is None else _nested_counts(groups, count, rng)
        yield drawn / drawn.sum(1, keepdims=True)


def _plain_counts(items: int, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "draw item"]:
    chosen = rng.integers(0, items, size=(draws, items)) + items * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * items).reshape(draws, items).astype(np.float64)


def _nested_counts(groups: np.ndarray, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "draw item"]:
    names, place = np.unique(groups, return_inverse=True)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    counts = np.zeros((draws, len(groups)))
    for number in range(len(names)):
        mine = np.flatnonzero(place == number)
        counts[:, mine] = rng.multinomial(times[:, number] * len(mine), np.full(len(mine), 1 / len(mine)))
    return counts
