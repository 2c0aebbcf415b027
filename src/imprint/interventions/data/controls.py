"""Matched control sets for a set of treated rows: the control ladder of a deletion or augmentation experiment."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import ConfigError

ControlKind = Literal["random", "loss", "length", "domain"]
"""How control rows resemble the treated ones: not at all, in loss, in length, or in domain."""

CONTROL_KINDS: tuple[ControlKind, ...] = get_args(ControlKind)


def random_rows(
    treated: Int[np.ndarray, "n"], pool: Int[np.ndarray, "m"], *, seed: int, exclude_treated: bool = True
) -> Int[np.ndarray, "n"]:
    """As many random rows of `pool` as there are treated rows (by default none of them treated)."""
    candidates = np.setdiff1d(pool, treated) if exclude_treated else np.unique(pool)
    _enough(len(candidates), len(treated), "random")
    chosen = np.random.default_rng(seed).choice(candidates, size=len(treated), replace=False)
    return np.sort(chosen)


def value_matched_rows(
    treated: Int[np.ndarray, "n"], pool: Int[np.ndarray, "m"], values: Float[np.ndarray, "row"], *, seed: int
) -> Int[np.ndarray, "n"]:
    """For each treated row the untreated row of `pool` whose value (loss, length) is nearest, each used once.

    Treated rows choose in random order among the rows still free; rows of equal value are chosen at random.
    """
    candidates = np.setdiff1d(pool, treated)
    _enough(len(candidates), len(treated), "value-matched")
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(candidates)
    ordered = shuffled[np.argsort(values[shuffled], kind="stable")]
    return np.sort(ordered[_nearest_free(values[generator.permutation(treated)], values[ordered])])


def category_matched_rows(
    treated: Int[np.ndarray, "n"], pool: Int[np.ndarray, "m"], categories: np.ndarray, *, seed: int
) -> Int[np.ndarray, "k"]:
    """Untreated rows with the treated rows' counts per category (domain), as far as each category has enough.

    Where a category has too few untreated rows, all of them are taken, so the result can be smaller than `treated`;
    compare the two sizes before reading the arm.

    Raises:
        ConfigError: no category of a treated row has any untreated row.
    """
    generator = np.random.default_rng(seed)
    candidates = np.setdiff1d(pool, treated)
    chosen = [np.zeros(0, dtype=treated.dtype)]
    for category in np.unique(categories[treated]):
        free = candidates[categories[candidates] == category]
        wanted = int((categories[treated] == category).sum())
        chosen.append(generator.choice(free, size=min(wanted, len(free)), replace=False))
    rows = np.sort(np.concatenate(chosen)).astype(treated.dtype)
    _enough(len(rows), min(1, len(treated)), "category-matched")
    return rows


def _nearest_free(wanted: Float[np.ndarray, "n"], offered: Float[np.ndarray, "m"]) -> Int[np.ndarray, "n"]:
    """For each wish the index of the nearest value of ascending `offered` that no earlier wish took (ties: the larger).

    Union-find on both sides: `right[i]` leads to the first free index from i on, `left[i]` to one past the last below i.
    """
    right = list(range(len(offered) + 1))
    left = list(range(len(offered) + 1))

    def find(parents: list[int], index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    chosen = np.empty(len(wanted), dtype=np.int64)
    starts = np.searchsorted(offered, wanted)
    for number, (wish, start) in enumerate(zip(wanted, starts, strict=True)):
        above, below = find(right, int(start)), find(left, int(start)) - 1
        is_above = below < 0 or (above < len(offered) and offered[above] - wish <= wish - offered[below])
        take = above if is_above else below
        chosen[number] = take
        right[take] = take + 1
        left[take + 1] = take
    return chosen


def _enough(available: int, wanted: int, kind: str) -> None:
    if available < wanted:
        raise ConfigError(
            f"a {kind} control needs {wanted} untreated rows but only {available} are left; treat a smaller fraction"
        )
