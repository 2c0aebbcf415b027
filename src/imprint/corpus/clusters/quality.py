"""How far a clustering of states can be believed: stability under resampling, DBCV, silhouette; shown, never accepted."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import adjusted_rand_score, silhouette_score

from imprint.corpus.clusters.dbcv import dbcv
from imprint.corpus.clusters.dbscan import dbscan
from imprint.corpus.clusters.epsilon import thinner
from imprint.errors import CorpusError
from imprint.stats.effects import Effect
from imprint.stats.resampling import bootstrap_mean

_SHARE = 0.8
_STABLE, _COMPACT = 0.8, 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterQuality:
    """Three views on a clustering; none of them says that clusters are real."""

    num_clusters: int
    noise_share: float
    largest_share: float
    """The largest cluster's share of all points."""
    stability: Effect
    """Adjusted Rand index between the labels and those of resampled points, noise counted as a group of its own."""
    dbcv: float | None
    """Density-based validity in [-1, 1] on a sample; None with fewer than two clusters there."""
    silhouette: float | None
    """Mean silhouette in [-1, 1] of sampled points in clusters, noise left out; None with fewer than two clusters."""

    @property
    def concerns(self) -> tuple[str, ...]:
        """What speaks against the clustering, in sentences; an empty tuple is no acceptance."""
        found = [
            (self.num_clusters < 2, f"{self.num_clusters} clusters: nothing is divided"),
            (self.noise_share > 0.9, f"{self.noise_share:.0%} of points are noise"),
            (
                self.num_clusters >= 2 and self.largest_share > 0.9 * (1 - self.noise_share),
                "one cluster holds over 90 % of all clustered points",
            ),
            (self.stability.low < _STABLE, f"labels do not repeat: ARI over resamples {self.stability.estimate:.2f}"),
            (
                self.dbcv is not None and self.dbcv < 0,
                "clusters are sparser inside than the gaps between them (DBCV < 0)",
            ),
            (
                self.silhouette is not None and self.silhouette < _COMPACT,
                "points are about as near to another cluster as to their own (silhouette)",
            ),
        ]
        return tuple(sentence for holds, sentence in found if holds)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self) | {"concerns": list(self.concerns)}


def cluster_quality(
    states: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, "label"],
    *,
    eps: float,
    min_samples: int,
    resamples: int = 5,
    limit: int = 20_000,
    sample: int = 2000,
    seed: int,
) -> ClusterQuality:
    """Stability, DBCV and silhouette of labels that `dbscan` gave to these states with this eps and min_samples.

    A resample is 80 % of the points without replacement, at most `limit`; where that thins the points, eps is scaled by
    the ratio of the k-distances. DBCV and silhouette use at most `sample` points.

    Raises:
        CorpusError: labels that are not one a state.

    Trust: stable is not true. One giant cluster is perfectly stable, so read the share of the largest cluster first
    (METHODS §5: overlapping blobs are found again and again with ARI .001 to the truth).
    """
    if len(labels) != len(states):
        raise CorpusError(f"{len(labels)} labels do not belong to {len(states)} states; give one label a state")
    generator = np.random.default_rng(seed)
    aris = [_repeat(states, labels, eps, min_samples, limit, generator) for _ in range(resamples)]
    chosen = np.sort(generator.permutation(len(states))[:sample])
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    return ClusterQuality(
        num_clusters=int((sizes > 0).sum()),
        noise_share=float((labels < 0).mean()),
        largest_share=float(sizes.max() / len(labels)),
        stability=bootstrap_mean(
            np.array(aris), seed=seed, unit="run", control_name="labels of all points", metric="adjusted Rand index"
        ),
        dbcv=_dbcv(states[chosen], labels[chosen]),
        silhouette=_silhouette(states[chosen], labels[chosen]),
    )


def _repeat(
    states: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, "label"],
    eps: float,
    min_samples: int,
    limit: int,
    generator: np.random.Generator,
) -> float:
    size = max(2, min(round(_SHARE * len(states)), limit))
    chosen = np.sort(generator.choice(len(states), size, replace=False))
    part = np.asarray(states[chosen])
    if size < round(_SHARE * len(states)):
        eps = eps * thinner(states, part, eps, min_samples=min_samples, seed=0)
    return float(adjusted_rand_score(labels[chosen], dbscan(part, eps=eps, min_samples=min_samples).labels))


def _dbcv(states: Float[np.ndarray, "n d"], labels: Int[np.ndarray, "n"]) -> float | None:
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    return dbcv(states, labels) if (sizes >= 2).sum() >= 2 else None


def _silhouette(states: Float[np.ndarray, "n d"], labels: Int[np.ndarray, "n"]) -> float | None:
    inside = labels >= 0
    groups = len(np.unique(labels[inside]))
    if not 2 <= groups < inside.sum():
        return None
    return float(silhouette_score(states[inside].astype(np.float32), labels[inside]))
