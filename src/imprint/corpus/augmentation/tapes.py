"""Tapes: the copies of a text, place by place, to be played again around other fresh text."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from imprint.corpus.augmentation.parts import MAX_COUNT, MAX_MOVES, MAX_TEXT, Copies
from imprint.corpus.augmentation.repetition import SHORTEST_COPY, Factor, factorise
from imprint.corpus.augmentation.schema import Motif
from imprint.corpus.augmentation.values import fresh_part, pool_part
from imprint.errors import ConfigError

MOSTLY_SHARED = 0.8
"""Share of a document's 8-grams that other documents also have, from which on it counts as boilerplate."""


def tape_motif(texts: Sequence[str], *, name: str = "copies", keep_segments: bool = False) -> Motif:
    """A motif that copies as these texts do, place by place, around fresh text.

    Fresh text has the texts' tokens (or characters) in random order; with `keep_segments` it is their own fresh runs,
    so that what they share stays shared.

    Trust: distances are those of the tapes, so a few texts give a few distances, and copying at few distances can be
    learned by position (METHODS P2); extract from hundreds of texts, or look at `Repetition.distances`.

    Raises:
        ConfigError: no text can be followed.
    """
    factored = [factorise(text) for text in texts]
    tapes: list[tuple[tuple[int, int, int], ...]] = []
    moves = 0
    for factors in factored:
        if factors and moves + len(factors) <= MAX_MOVES and len(tapes) < MAX_COUNT:
            tapes.append(tuple((factor.fresh, factor.distance, factor.length) for factor in factors))
            moves += len(factors)
    if not tapes:
        raise ConfigError(f"no text has between 1 and {MAX_MOVES} factors, so there is nothing to follow; cut them.")
    runs = [run for text, factors in zip(texts, factored, strict=True) for run in fresh_runs(text, factors)]
    segments = Counter(run[:MAX_TEXT] for run in runs if len(run) >= SHORTEST_COPY // 2)
    fresh = pool_part(segments, most=MAX_COUNT) if keep_segments and segments else fresh_part(runs)
    return Motif(name=name, weight=float(len(texts)), write=Copies(fresh=fresh, tapes=tuple(tapes)))


def fresh_runs(text: str, factors: Sequence[Factor]) -> list[str]:
    """The parts of a text that its factors do not copy, without empty ones."""
    runs, place = [], 0
    for factor in factors:
        runs.append(text[place : place + factor.fresh])
        place += factor.fresh + factor.length
    return [run for run in runs if run]


def shared_segments(texts: Sequence[str]) -> Float[np.ndarray, "doc"]:
    """Share of each text's distinct character 8-grams that occur in another text too; 0 where it has none."""
    grams = [{text[i : i + SHORTEST_COPY] for i in range(len(text) - SHORTEST_COPY + 1)} for text in texts]
    owners = Counter(gram for one in grams for gram in one)
    shared = [sum(owners[gram] > 1 for gram in one) / max(len(one), 1) for one in grams]
    return np.array(shared, dtype=np.float64)
