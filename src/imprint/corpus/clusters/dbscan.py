"""Exact DBSCAN of many wide points: scikit-learn's labels, several times less work, memory that eps cannot blow up.

Ester et al. 1996 (KDD): a core point has at least `min_samples` points within eps, itself included; clusters are the
connected components of core points within eps of each other; a border point joins a cluster of a core point near it.
How: tiles of points that lie near each other (see `order`), one low-precision product a tile whose rounding is bounded
(see `screen`), double precision for the pairs it cannot decide, and nothing kept of decided pairs (see `density`).
Pairs inside the largest component are not compared at all once both ends are known as its core points.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from imprint.corpus.clusters.coarse import Coarse
from imprint.corpus.clusters.density import Density
from imprint.corpus.clusters.order import spatial_order, tiles
from imprint.corpus.clusters.scaled import Frame, Points, check_eps, check_states, mean_state
from imprint.corpus.clusters.screen import fastest_dtype
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress

TILE = 1024
_LOOKS = 4
"""How often the largest component is looked for while as many tiles are compared as one row of tiles has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dbscan:
    """Labels of every point (-1 = noise), which points are core points, and what finding them took."""

    labels: Int[np.ndarray, "n"]
    core: Bool[np.ndarray, "n"]
    eps: float
    min_samples: int
    compared: int
    """Pairs that went through a full-width product."""
    verified: int
    """Pairs that had to be decided in double precision."""

    @property
    def num_clusters(self) -> int:
        """Number of clusters; noise is none."""
        return int(self.labels.max()) + 1

    @property
    def noise_share(self) -> float:
        """Share of points in no cluster."""
        return float((self.labels < 0).mean())


def dbscan(
    states: Float[np.ndarray, "n d"],
    *,
    eps: float,
    min_samples: int = 10,
    dtype: torch.dtype | None = None,
    advance: Advance = no_progress,
) -> Dbscan:
    """The labels that scikit-learn's `DBSCAN(eps=eps, min_samples=min_samples)` gives, numbers and border points included.

    `states` of any float dtype, Euclidean distance. Clusters are numbered by their first core point, and a border point
    takes the lowest-numbered of the clusters that reach it. Needs about 8 bytes x n x d in all for float32 states, plus
    at most 8 bytes x n x min_samples. `dtype` forces that of the products; `advance` adds up to the number of points.

    Raises:
        CorpusError: no points, or values that are not finite.
        ConfigError: eps or min_samples that define no clusters, or a torch that may round float32 products.

    Trust: pairs whose distance differs from eps by less than 1e-12 of it may fall to the other side than in
    scikit-learn, whose formula for distances rounds differently. eps decides everything: look at `epsilon` first.
    """
    check_states(states)
    check_eps(eps, min_samples)
    if torch.get_float32_matmul_precision() != "highest":
        raise ConfigError("exact labels need torch.set_float32_matmul_precision('highest'), its default; set it back")
    frame = Frame(centre=mean_state(states), eps=float(eps), dtype=dtype or fastest_dtype(states.shape[1]))
    coarse = Coarse.fit(states, frame)
    order = spatial_order(coarse.image(states), TILE)
    states = np.asarray(states)[order]
    sweep = _Sweep(states, frame, coarse, min_samples)
    sweep.run(advance)
    labels, core = _labels(sweep.density, order)
    return Dbscan(
        labels=labels,
        core=core,
        eps=float(eps),
        min_samples=min_samples,
        compared=sweep.compared,
        verified=sweep.points.verified,
    )


class _Sweep:
    """One pass over all pairs of tiles, nearest first, so that cores and components are known early."""

    def __init__(self, states: Float[np.ndarray, "n d"], frame: Frame, coarse: Coarse, min_samples: int) -> None:
        self.points = Points(states, frame)
        self.bound = coarse.bound(states)
        self.density = Density(len(states), min_samples)
        self.compared = 0

    def run(self, advance: Advance) -> None:
        """Add every pair of neighbours that can still matter to the density."""
        pairs = tiles(self.bound.image, self.bound.moved, TILE)
        seldom = max(1, len(self.points) // (_LOOKS * TILE))
        giant, advanced = -1, 0
        for number, (left, right) in enumerate(pairs):
            if number % seldom == 0:
                giant = self.density.giant()
                advance(len(self.points) * number // len(pairs) - advanced)
                advanced = len(self.points) * number // len(pairs)
            for rows, columns in self._rectangles(left, right, giant):
                self._compare(rows, columns)
        advance(len(self.points) - advanced)

    def _rectangles(
        self, rows: Int[np.ndarray, "row"], columns: Int[np.ndarray, "column"], giant: int
    ) -> Iterator[tuple[Int[np.ndarray, "row"], Int[np.ndarray, "column"]]]:
        """The pairs of a tile, less those between settled points: first unsettled rows, then settled x unsettled."""
        done, over = self.density.settled(rows, giant), self.density.settled(columns, giant)
        if not done.any() or not over.any():
            yield rows, columns
        elif rows[0] == columns[0]:
            if not done.all():
                yield rows, columns
        else:
            yield rows[~done], columns
            yield rows[done], columns[~over]

    def _compare(self, rows: Int[np.ndarray, "row"], columns: Int[np.ndarray, "column"]) -> None:
        rows, columns = self.bound.survivors(rows, columns)
        if len(rows) == 0 or len(columns) == 0:
            return
        self.compared += len(rows) * len(columns)
        left, right = self.points.neighbours(rows, self.points, columns)
        if rows[0] // TILE == columns[0] // TILE:
            once = left < right
            left, right = left[once], right[once]
        self.density.add(left, right)


def _labels(density: Density, order: Int[np.ndarray, "n"]) -> tuple[Int[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Labels and core points in the original order of the points, numbered as scikit-learn does."""
    sources, borders = density.borders()
    roots = np.full(len(order), -1, dtype=np.int64)
    cores = np.flatnonzero(density.core)
    roots[order[cores]] = density.forest.roots(cores)
    core = roots >= 0
    labels = np.full(len(order), -1, dtype=np.int64)
    if core.any():
        _, first, which = np.unique(roots[core], return_index=True, return_inverse=True)
        labels[core] = np.argsort(np.argsort(first))[which]
    reached = np.full(len(order), len(order), dtype=np.int64)
    np.minimum.at(reached, order[borders], labels[order[sources]])
    border = reached < len(order)
    labels[border] = reached[border]
    return labels, core
