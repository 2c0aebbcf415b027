"""The core points of clusters, kept to say where new points belong: the cluster of the nearest one within eps."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from imprint.corpus.clusters.scaled import Frame, Points, check_eps, check_states, mean_state
from imprint.corpus.clusters.screen import fastest_dtype
from imprint.errors import CorpusError

_TILE = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Cores:
    """Core points, the cluster of each, and the radius that made them."""

    states: Float[np.ndarray, "core d"]
    labels: Int[np.ndarray, "core"]
    eps: float

    def assign(self, states: Float[np.ndarray, "n d"], *, dtype: torch.dtype | None = None) -> Int[np.ndarray, "n"]:
        """The cluster of the nearest core point within eps of each point, -1 where there is none.

        Core points get their own cluster back. Ties go to the core point that comes first. Distances are decided in
        double precision, as in `dbscan`; standardise new points with the training statistics first.

        Raises:
            CorpusError: values that are not finite, or another width than the core points have.

        Trust: a border point of the clustering itself can change sides here: DBSCAN gives it to the first cluster
        that reaches it, this to the nearest.
        """
        check_states(states, "new states")
        if states.shape[1] != self.states.shape[1]:
            raise CorpusError(
                f"new states of width {states.shape[1]} cannot be near core points of width {self.states.shape[1]}"
            )
        labels = np.full(len(states), -1, dtype=np.int64)
        if len(self.states) == 0:
            return labels
        check_eps(self.eps, 1)
        frame = Frame(centre=mean_state(self.states), eps=self.eps, dtype=dtype or fastest_dtype(self.states.shape[1]))
        cores = Points(self.states, frame)
        for start in range(0, len(states), _TILE):
            block = np.asarray(states[start : start + _TILE])
            nearest = _nearest(Points(block, frame), cores)
            found = nearest >= 0
            labels[start : start + _TILE][found] = self.labels[nearest[found]]
        return labels


def _nearest(points: Points, cores: Points) -> Int[np.ndarray, "n"]:
    """Index of the nearest core point within eps of each point, -1 where there is none."""
    best, where = np.full(len(points), np.inf), np.full(len(points), -1, dtype=np.int64)
    rows = np.arange(len(points))
    for start in range(0, len(cores), _TILE):
        columns = np.arange(start, min(start + _TILE, len(cores)))
        left, right = points.closest(rows, cores, columns)
        squared = points.squared(left, cores, right)
        squared[squared > points.frame.eps**2] = np.inf
        order = np.lexsort((right, squared, left))
        rows_here, first = np.unique(left[order], return_index=True)
        chosen = order[first]
        better = squared[chosen] < best[rows_here]
        best[rows_here[better]] = squared[chosen[better]]
        where[rows_here[better]] = right[chosen[better]]
    return where
