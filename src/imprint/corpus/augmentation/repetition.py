"""How a text repeats itself: its factors (fresh runs and copies of what came before) and their statistics."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

SHORTEST_COPY = 8
"""Characters that must recur for a copy; shorter recurrences are what any language has."""
_CANDIDATES = 12
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Factor:
    """`fresh` new symbols, then `length` symbols copied from `distance` back (0, 0: the text ends fresh)."""

    fresh: int
    distance: int
    length: int


def factorise(text: str, *, shortest: int = SHORTEST_COPY) -> tuple[Factor, ...]:
    """The text as greedy LZ77 factors: at each place the longest copy among the latest recurrences, nearest first.

    The lengths add to the length of the text, of which the first 20 000 characters are read. A copy may overlap what it
    copies (distance < length), which is how periodic text looks.
    """
    text = text[:_MOST_CHARACTERS]
    factors, seen, fresh, place = [], dict[str, list[int]](), 0, 0
    while place < len(text):
        source, length = _longest(text, place, seen.get(text[place : place + shortest], ()), shortest)
        step = length or 1
        for passed in range(place, min(place + step, len(text) - shortest + 1)):
            seen.setdefault(text[passed : passed + shortest], []).append(passed)
        if length:
            factors.append(Factor(fresh, place - source, length))
        fresh = 0 if length else fresh + 1
        place += step
    return (*factors, Factor(fresh, 0, 0)) if fresh else tuple(factors)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetition:
    """Repetition statistics of several texts, pooled over their characters."""

    ngram_rate: float
    """Share of the character 8-grams that occurred before in the same text."""
    compression: float
    """Bytes after zlib over bytes before, all texts together, each compressed alone."""
    copied: float
    """Share of the characters that lie in copies."""
    distances: Int[np.ndarray, "copy"]
    """How far back each copy reaches, characters, ascending."""
    lengths: Int[np.ndarray, "copy"]
    """Length of each copy, ascending."""

    def quantiles(self, of: Int[np.ndarray, "copy"]) -> Float[np.ndarray, "3"]:
        """Lower quartile, median and upper quartile of distances or lengths; zeros where nothing is copied."""
        return np.quantile(of, [0.25, 0.5, 0.75]) if len(of) else np.zeros(3)


def repetition(texts: Sequence[str]) -> Repetition:
    """The repetition statistics of the texts; zeros for no text."""
    factored = [factorise(text) for text in texts]
    copies = np.array([(f.distance, f.length) for factors in factored for f in factors if f.length], dtype=np.int64)
    copies = copies.reshape(-1, 2)
    sizes = [min(len(text), _MOST_CHARACTERS) for text in texts]
    raw = [text.encode("utf-8") for text in texts]
    again, grams = np.sum([_recurring(text) for text in texts], axis=0) if texts else (0, 0)
    return Repetition(
        ngram_rate=float(again / max(grams, 1)),
        compression=sum(len(zlib.compress(one, 9)) for one in raw) / max(sum(map(len, raw)), 1),
        copied=float(copies[:, 1].sum() / max(sum(sizes), 1)),
        distances=np.sort(copies[:, 0]),
        lengths=np.sort(copies[:, 1]),
    )


def copied_share(text: str) -> float:
    """Share of the characters of one text that lie in copies."""
    return sum(factor.length for factor in factorise(text)) / max(min(len(text), _MOST_CHARACTERS), 1)


def _longest(text: str, place: int, sources: Sequence[int], shortest: int) -> tuple[int, int]:
    """Source and length of the longest copy that can begin at `place`; length 0 where there is none."""
    best, length = 0, 0
    for source in reversed(sources[-_CANDIDATES:]):
        if length and text[source + length : source + length + 1] != text[place + length : place + length + 1]:
            continue
        here = _common(text, source, place, shortest)
        if here > length:
            best, length = source, here
    return best, length


def _common(text: str, source: int, place: int, known: int) -> int:
    """Length of the common continuation, at least `known`, by doubling and then halving strides."""
    length, stride, limit = known, 16, len(text) - place
    while stride:
        end = min(length + stride, limit)
        if end > length and text[source + length : source + end] == text[place + length : place + end]:
            grew = end - length
            length = end
            stride = stride * 2 if grew == stride else 0
        else:
            stride //= 2
    return length


def _recurring(text: str) -> tuple[int, int]:
    grams = [text[place : place + SHORTEST_COPY] for place in range(len(text) - SHORTEST_COPY + 1)]
    return len(grams) - len(set(grams)), len(grams)
