"""DBCV, the density-based validity of clusters of any shape: how sparse they are inside against the gaps between them.

Moulavi et al. 2014 (SDM), definitions 1-8. Powers of distances in d dimensions overflow beyond d of about 100, so they
are taken as logarithms here.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from imprint.errors import CorpusError


def dbcv(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, "n"]) -> float:
    """The validity of a clustering in [-1, 1]: below 0, clusters are sparser inside than the gaps between them.

    The mean validity of clusters, weighted by their share of ALL points, so noise (-1) pulls it towards 0. Clusters of
    one point count as noise. Needs n² memory within a cluster: sample first.

    Raises:
        CorpusError: fewer than two clusters of at least two points.

    Trust: in hundreds of dimensions distances concentrate and values lie close to 0; compare them between clusterings
    of the same points, not with published thresholds.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    clusters = [points[labels == cluster].astype(np.float64) for cluster in np.flatnonzero(sizes >= 2)]
    if len(clusters) < 2:
        raise CorpusError(f"DBCV compares clusters, and there are {len(clusters)} of two points or more; it needs two")
    trees = [_Tree(cluster) for cluster in clusters]
    gaps = np.full((len(trees), len(trees)), np.inf)
    for one in range(len(trees)):
        for two in range(one):
            gaps[one, two] = gaps[two, one] = trees[one].separation(trees[two])
    nearest = gaps.min(1)
    sparseness = np.array([tree.sparseness for tree in trees])
    larger = np.maximum(nearest, sparseness)
    validity = np.divide(nearest - sparseness, larger, out=np.zeros(len(trees)), where=larger > 0)
    return float(sum(len(cluster) * value for cluster, value in zip(clusters, validity, strict=True)) / len(points))


class _Tree:
    """The minimum spanning tree of one cluster under mutual reachability, less its leaves."""

    def __init__(self, points: Float[np.ndarray, "n d"]) -> None:
        distances = cdist(points, points)
        cores = _core_distances(distances, points.shape[1])
        reach = np.maximum(distances, np.maximum(cores[:, None], cores[None, :]))
        edges, weights = _spanning_tree(reach)
        inner = np.bincount(edges.ravel(), minlength=len(points)) > 1
        if not inner.any():
            inner[0] = True
        inside = inner[edges].all(1)
        self.sparseness = float(weights[inside].max() if inside.any() else weights.max())
        self.points, self.cores = points[inner], cores[inner]

    def separation(self, other: "_Tree") -> float:
        """The smallest mutual reachability between inner points of two clusters."""
        cores = np.maximum(self.cores[:, None], other.cores[None, :])
        return float(np.maximum(cdist(self.points, other.points), cores).min())


def _core_distances(distances: Float[np.ndarray, "n n"], d: int) -> Float[np.ndarray, "n"]:
    """The generalised mean distance of each point to the others, mostly that to the nearest; 0 between copies."""
    apart = distances > 0
    logs = np.where(apart, -d * np.log(np.where(apart, distances, 1.0)), -np.inf)
    alone = ~apart.any(1)
    logs[alone, 0] = 0.0
    cores = np.exp(-(logsumexp(logs, axis=1) - np.log(len(distances) - 1)) / d)
    return np.asarray(np.where(alone, 0.0, cores))


def _spanning_tree(weights: Float[np.ndarray, "n n"]) -> tuple[Int[np.ndarray, "edge 2"], Float[np.ndarray, "edge"]]:
    """Edges of the minimum spanning tree of a complete graph and their weights (Prim).

    Mutual reachabilities tie often, and which of the equal trees is taken decides what is a leaf: a new point hangs on
    the first of the points that are equally near, as in the reference implementation (hdbscan's `validity_index`).
    """
    size = len(weights)
    nearest = weights[0].copy()
    inside = np.zeros(size, dtype=bool)
    inside[0] = True
    edges, lengths = np.zeros((size - 1, 2), dtype=np.int64), np.zeros(size - 1)
    for edge in range(size - 1):
        new = int(np.where(inside, np.inf, nearest).argmin())
        source = int((inside & np.isclose(weights[new], nearest[new])).argmax())
        edges[edge], lengths[edge] = (source, new), nearest[new]
        inside[new] = True
        nearest = np.minimum(nearest, weights[new])
    return edges, lengths
