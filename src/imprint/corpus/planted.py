"""Planted documents: printable ASCII text whose part in forming an induction head is known (METHODS §2.4–2.5b)."""

import numpy as np
from jaxtyping import Int

from imprint.corpus import motifs
from imprint.corpus.documents import Document
from imprint.errors import ConfigError

NOVEL_REPEATS = "novel repeats"
BOILERPLATE = "boilerplate"
NOISE = "noise"
_FIRST, _SYMBOLS = 0x20, 95  # printable ASCII, space to tilde: no line end, no byte 0


def novel_repeats(count: int, length: int, rng: np.random.Generator, *, first: int = 0) -> list[Document]:
    """`count` texts of `length` characters, each a fresh random segment of 6 to length // 2 characters, tiled.

    The known cause of induction: what comes next can be copied from earlier in the text and learned in no other way.
    Ids are numbered from `first`, so that a second call can be added to the same corpus.

    Raises:
        ConfigError: `count` is negative or `length` is below 12.
    """
    _check(count)
    return _documents(motifs.fresh_repeats(rng, rows=count, length=length, symbols=_SYMBOLS), NOVEL_REPEATS, first)


def boilerplate(
    count: int, length: int, rng: np.random.Generator, *, segments: int = 8, first: int = 0, seed: int = 4242
) -> list[Document]:
    """`count` texts that tile one of `segments` fixed segments (6, 9, ... characters) from a random place.

    Looks as repetitive as `novel_repeats`, is memorised, is not the cause. The segments depend on `seed` and `length`
    alone, so held-out boilerplate repeats the same ones.

    Raises:
        ConfigError: `count` is negative, `length` is below 12, or `segments` below 1.
    """
    _check(count)
    fixed = motifs.fixed_segments(count=segments, length=length, symbols=_SYMBOLS, seed=seed)
    return _documents(motifs.tiled(rng, fixed, rows=count, length=length), BOILERPLATE, first)


def noise(count: int, length: int, rng: np.random.Generator, *, first: int = 0) -> list[Document]:
    """`count` texts of independent uniform printable characters: highest loss, nothing to copy.

    Raises:
        ConfigError: `count` is negative or `length` below 1.
    """
    _check(count)
    if length < 1:
        raise ConfigError(f"a document of noise needs a positive length, not {length}.")
    return _documents(motifs.uniform(rng, rows=count, length=length, symbols=_SYMBOLS), NOISE, first)


def _check(count: int) -> None:
    if count < 0:
        raise ConfigError(f"cannot make {count} planted documents; ask for 0 or more.")


def _documents(symbols: Int[np.ndarray, "row length"], domain: str, first: int) -> list[Document]:
    texts = [row.tobytes().decode("ascii") for row in (symbols + _FIRST).astype(np.uint8)]
    return [
        Document(id=f"{domain}/{index:06d}", text=text, domain=domain, source="planted")
        for index, text in enumerate(texts, start=first)
    ]
