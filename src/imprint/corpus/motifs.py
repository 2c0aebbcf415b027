"""Integer sequences of the planted kinds, shared by the text documents and the token worlds.

METHODS §2.4: novel repeats are the known cause of induction, boilerplate is as repetitive but memorisable, noise has no
structure at all.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from imprint.errors import ConfigError

SHORTEST = 6
"""Shortest segment that is repeated, in symbols."""


def fresh_repeats(
    rng: np.random.Generator, *, rows: int, length: int, symbols: int, period: int | None = None
) -> Int[np.ndarray, "row length"]:
    """Each row tiles its own random segment, of random length in [6, length // 2] unless `period` fixes it.

    Trust: a fixed period teaches a positional copy, not induction (METHODS P2); use it only as a mutation.

    Raises:
        ConfigError: no segment of 6 symbols fits twice into `length`.
    """
    if length < 2 * SHORTEST:
        raise ConfigError(f"length={length} is too short to repeat {SHORTEST} symbols; use at least {2 * SHORTEST}.")
    periods = rng.integers(SHORTEST, length // 2 + 1, size=rows) if period is None else np.full(rows, period)
    segments = rng.integers(0, symbols, size=(rows, length))
    return np.take_along_axis(segments, np.arange(length)[None, :] % periods[:, None], axis=1)


def fixed_segments(*, count: int, length: int, symbols: int, seed: int) -> list[Int[np.ndarray, "_"]]:
    """The `count` segments of boilerplate: lengths 6, 9, 12, ... but at most length // 2; `seed` fixes them."""
    if length < 2 * SHORTEST or count < 1:
        raise ConfigError(f"boilerplate needs length >= {2 * SHORTEST} and a segment, not {length} and {count}.")
    sizes = [min(SHORTEST + 3 * index, length // 2) for index in range(count)]
    return [np.random.default_rng([seed, index]).integers(0, symbols, size=size) for index, size in enumerate(sizes)]


def tiled(
    rng: np.random.Generator, segments: Sequence[Int[np.ndarray, "_"]], *, rows: int, length: int
) -> Int[np.ndarray, "row length"]:
    """Each row tiles one of the fixed segments, chosen at random, from a random place in it."""
    sizes = np.array([len(segment) for segment in segments])
    table = np.zeros((len(segments), sizes.max()), dtype=np.int64)
    for index, segment in enumerate(segments):
        table[index, : len(segment)] = segment
    which = rng.integers(0, len(segments), size=rows)
    begin = rng.integers(0, sizes[which])
    place = (begin[:, None] + np.arange(length)[None, :]) % sizes[which][:, None]
    return np.asarray(table[which[:, None], place])


def uniform(rng: np.random.Generator, *, rows: int, length: int, symbols: int) -> Int[np.ndarray, "row length"]:
    """Independent uniform symbols: highest loss, nothing to copy."""
    return rng.integers(0, symbols, size=(rows, length))
