"""What DBSCAN must remember of pairs of neighbours: counts, core points, components, and few undecided pairs.

A pair of core points is merged at once and forgotten. A pair is kept only while one end is not (yet) a core point, and
such an end has fewer than `min_samples` neighbours so far, so at most points x min_samples pairs are ever kept,
however many pairs of neighbours there are. One pass over the pairs is enough.
"""

from typing import final

import numpy as np
from jaxtyping import Bool, Int

from imprint.corpus.clusters.forest import Forest

_ROOM = 1 << 20
"""Undecided pairs that are not worth looking through."""


@final
class Density:
    """Counts of neighbours and components of core points, fed with pairs of neighbours in any order, each pair once."""

    def __init__(self, points: int, min_samples: int) -> None:
        """Begin with every point as its own only neighbour."""
        self.min_samples = min_samples
        self.core = np.full(points, min_samples <= 1)
        self.forest = Forest(points)
        self._counts = np.ones(points, dtype=np.int64)
        self._undecided: list[tuple[Int[np.ndarray, "pair"], Int[np.ndarray, "pair"]]] = []
        self._kept, self._limit = 0, _ROOM

    def add(self, left: Int[np.ndarray, "pair"], right: Int[np.ndarray, "pair"]) -> None:
        """Take in pairs of different points that are neighbours."""
        if len(left) == 0:
            return
        self._count(left)
        self._count(right)
        self._sort(left, right)
        if self._kept > self._limit:
            self.settle()
            self._limit = max(_ROOM, 2 * self._kept)

    def settle(self) -> None:
        """Look again at the undecided pairs."""
        pairs, self._undecided, self._kept = self._undecided, [], 0
        for left, right in pairs:
            self._sort(left.astype(np.int64), right.astype(np.int64))

    def borders(self) -> tuple[Int[np.ndarray, "pair"], Int[np.ndarray, "pair"]]:
        """All pairs (core point, neighbour of it that is none); right only once all pairs have been added."""
        self.settle()
        left = np.concatenate([np.zeros(0, dtype=np.int32), *(pair[0] for pair in self._undecided)])
        right = np.concatenate([np.zeros(0, dtype=np.int32), *(pair[1] for pair in self._undecided)])
        ahead, behind = self.core[left], self.core[right]
        return (
            np.concatenate([left[ahead], right[behind]]).astype(np.int64),
            np.concatenate([right[ahead], left[behind]]).astype(np.int64),
        )

    def settled(self, points: Int[np.ndarray, "n"], giant: int) -> Bool[np.ndarray, "n"]:
        """Which points are core points in the component of the core point `giant` (none if it is -1)."""
        if giant < 0:
            return np.zeros(len(points), dtype=bool)
        settled = self.core[points]
        settled[settled] = self.forest.roots(points[settled]) == self.forest.roots(np.array([giant]))[0]
        return np.asarray(settled)

    def giant(self) -> int:
        """A point of the largest component of core points; -1 while there is no core point."""
        core = np.flatnonzero(self.core)
        if len(core) == 0:
            return -1
        return int(np.bincount(self.forest.roots(core)).argmax())

    def _count(self, points: Int[np.ndarray, "pair"]) -> None:
        low = int(points.min())
        found = np.bincount(points - low)
        reached = slice(low, low + len(found))
        self._counts[reached] += found
        self.core[reached] = self._counts[reached] >= self.min_samples

    def _sort(self, left: Int[np.ndarray, "pair"], right: Int[np.ndarray, "pair"]) -> None:
        both = self.core[left] & self.core[right]
        self.forest.join(left[both], right[both])
        if not both.all():
            kept = ~both
            self._undecided.append((left[kept].astype(np.int32), right[kept].astype(np.int32)))
            self._kept += int(kept.sum())
