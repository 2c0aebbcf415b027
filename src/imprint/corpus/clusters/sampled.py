"""DBSCAN of very many points through a sample of core points, with its disagreement from the exact labels measured.

DBSCAN++ (Jang & Jiang 2019, ICML) with uniform sampling: sampled points count their neighbours among ALL points, sampled
core points within eps of each other form the clusters, and every point joins its nearest sampled core point within eps.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import adjusted_rand_score

from imprint.corpus.clusters.cores import Cores
from imprint.corpus.clusters.dbscan import TILE, dbscan
from imprint.corpus.clusters.scaled import Frame, Points, check_eps, check_states, mean_state
from imprint.corpus.clusters.screen import fastest_dtype
from imprint.errors import ConfigError
from imprint.stats.effects import Effect
from imprint.stats.resampling import bootstrap_mean
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledDbscan:
    """Labels of all points from a sample of core points, and how far such labels are from exact ones."""

    labels: Int[np.ndarray, "n"]
    sample: Int[np.ndarray, "sample"]
    """The points that could become core points, ascending."""
    core: Bool[np.ndarray, "sample"]
    eps: float
    min_samples: int
    agreement: Effect
    """Adjusted Rand index with the exact labels, on overlaps small enough to cluster exactly (1 = the same)."""


def sampled_dbscan(
    states: Float[np.ndarray, "n d"],
    *,
    eps: float,
    min_samples: int = 10,
    sample: int = 50_000,
    overlap: int = 20_000,
    overlaps: int = 3,
    seed: int,
    advance: Advance = no_progress,
) -> SampledDbscan:
    """Approximate DBSCAN in (points x sample) comparisons instead of (points squared), and its measured agreement.

    Each overlap is a random subset of `overlap` points that is clustered twice: exactly, and through a sample of the
    same share of points as in the whole; `agreement` is the mean ARI of the two with its interval. `advance` counts
    points.

    Raises:
        CorpusError: values that are not finite.
        ConfigError: eps or min_samples that define no clusters, or a sample that is not smaller than the whole.

    Trust: the agreement is measured at the density of the overlap, which is lower than that of the whole: there are
    fewer neighbours within eps, so it errs on the pessimistic side. Clusters that hold together through few core
    points fall apart first.
    """
    check_states(states)
    check_eps(eps, min_samples)
    _check_sizes(len(states), sample, overlap, overlaps)
    generator = np.random.default_rng(seed)
    agreements = [
        _agreement(states, eps, min_samples, sample / len(states), overlap, generator) for _ in range(overlaps)
    ]
    chosen = np.sort(generator.choice(len(states), sample, replace=False))
    labels, core = _through(states, chosen, eps, min_samples, advance)
    return SampledDbscan(
        labels=labels,
        sample=chosen,
        core=core,
        eps=float(eps),
        min_samples=min_samples,
        agreement=bootstrap_mean(
            np.array(agreements), seed=seed, unit="run", control_name="exact DBSCAN", metric="adjusted Rand index"
        ),
    )


def _agreement(
    states: Float[np.ndarray, "n d"],
    eps: float,
    min_samples: int,
    share: float,
    overlap: int,
    generator: np.random.Generator,
) -> float:
    part = states[np.sort(generator.choice(len(states), min(overlap, len(states)), replace=False))]
    chosen = np.sort(generator.choice(len(part), max(1, round(share * len(part))), replace=False))
    labels, _ = _through(part, chosen, eps, min_samples, no_progress)
    return float(adjusted_rand_score(dbscan(part, eps=eps, min_samples=min_samples).labels, labels))


def _through(
    states: Float[np.ndarray, "n d"],
    chosen: Int[np.ndarray, "sample"],
    eps: float,
    min_samples: int,
    advance: Advance,
) -> tuple[Int[np.ndarray, "n"], Bool[np.ndarray, "sample"]]:
    """Labels of all points through the chosen ones, and which of those are core points."""
    sampled = np.asarray(states[chosen])
    core = count_neighbours(states, sampled, eps, min_samples, advance) >= min_samples
    labels = np.full(len(states), -1, dtype=np.int64)
    if core.any():
        cores = sampled[core]
        clusters = dbscan(cores, eps=eps, min_samples=1).labels
        labels = Cores(states=cores, labels=clusters, eps=eps).assign(states)
    return labels, core


def count_neighbours(
    states: Float[np.ndarray, "n d"],
    queries: Float[np.ndarray, "query d"],
    eps: float,
    enough: int,
    advance: Advance = no_progress,
) -> Int[np.ndarray, "query"]:
    """How many states lie within eps of each query; counting stops for a query once it has `enough`."""
    frame = Frame(centre=mean_state(queries), eps=float(eps), dtype=fastest_dtype(queries.shape[1]))
    asked = Points(queries, frame)
    counts = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(states), 4 * TILE):
        block = Points(np.asarray(states[start : start + 4 * TILE]), frame)
        open_queries = np.flatnonzero(counts < enough)
        for first in range(0, len(open_queries), TILE):
            rows = open_queries[first : first + TILE]
            left, _ = asked.neighbours(rows, block, np.arange(len(block)))
            counts += np.bincount(left, minlength=len(queries))
        advance(len(block))
    return counts


def _check_sizes(points: int, sample: int, overlap: int, overlaps: int) -> None:
    if not 1 <= sample < points:
        raise ConfigError(f"a sample of {sample} of {points} points is no sample; give fewer, or use dbscan (exact)")
    if overlap < 2 or overlaps < 2:
        raise ConfigError(
            f"{overlaps} overlaps of {overlap} points measure nothing; give at least 2 overlaps of 2 points"
        )
