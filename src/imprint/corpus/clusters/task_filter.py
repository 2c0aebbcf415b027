"""Task-specific filtering: the clusters in which named attention heads are more active than elsewhere."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import stats

from imprint.corpus.clusters.clustering import Clustering
from imprint.errors import ConfigError, CorpusError
from imprint.stats import Effect, benjamini_hochberg
from imprint.stats.effects import Unit
from imprint.stats.samples import NO_SPREAD, require_sample


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFilter:
    """Which clusters the named heads single out, and the evidence for every cluster."""

    kept: tuple[int, ...]
    """Numbers of the clusters kept, ascending."""
    effects: tuple[Effect, ...]
    """One a cluster: mean activation inside minus outside, in standard deviations; positive = more active inside."""
    table: pl.DataFrame
    """One row a cluster: cluster, name, size, difference, low, high, n, p, q, kept."""


def filter_by_heads(
    activations: Float[np.ndarray, "n head"],
    clustering: Clustering,
    *,
    documents: Int[np.ndarray, "n"] | None = None,
    rate: float = 0.05,
    minimum: int = 5,
) -> TaskFilter:
    """The clusters whose mean head activation exceeds that of all other units, noise included (000 §2.1.2, step 3).

    Each head is standardised over all units and heads are averaged, so the difference is in standard deviations of one
    head. Interval and one-sided p are Welch's; the clusters with q <= `rate` (Benjamini-Hochberg over clusters) are
    kept. For tokens give `documents`, the document number of each: tokens are first averaged within their document,
    once inside the cluster and once outside, and those means are the sample.

    Raises:
        CorpusError: a cluster has fewer than `minimum` units, or there are not two units outside it.
        ConfigError: activations that do not fit the labels, or a clustering of tokens without `documents`.
        SelfCheckFailed: an activation is not finite.

    Trust: a head that is active in a cluster need not matter for the task there; the filter says where to look.
    """
    _check(activations, clustering, documents)
    score = _standardised(activations)
    rows = [_compare(score, clustering, number, documents, minimum) for number in range(clustering.num_clusters)]
    p = np.array([row[1] for row in rows], dtype=np.float64)
    q = benjamini_hochberg(p) if len(p) else p
    kept = tuple(int(number) for number in np.flatnonzero(q <= rate))
    effects = tuple(row[0] for row in rows)
    return TaskFilter(kept=kept, effects=effects, table=_table(clustering, effects, p, q, rate))


def _check(
    activations: Float[np.ndarray, "n head"], clustering: Clustering, documents: Int[np.ndarray, "n"] | None
) -> None:
    if len(activations) != len(clustering) or activations.shape[1] < 1:
        raise ConfigError(
            f"activations of shape {activations.shape} do not fit {len(clustering)} labels: give one row a label and "
            "one column a head"
        )
    if clustering.unit == "token" and documents is None:
        raise ConfigError("tokens of one document are not independent: give the document number of every token")
    require_sample(activations.astype(np.float64), name="the head activations")


def _standardised(activations: Float[np.ndarray, "n head"]) -> Float[np.ndarray, "n"]:
    values = activations.astype(np.float64)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.asarray(scaled.mean(axis=1))


def _compare(
    score: Float[np.ndarray, "n"],
    clustering: Clustering,
    number: int,
    documents: Int[np.ndarray, "n"] | None,
    minimum: int,
) -> tuple[Effect, float]:
    members = clustering.members(number, minimum=minimum)
    others = np.setdiff1d(np.arange(len(score)), members, assume_unique=True)
    inside, outside = (_units(score, chosen, documents) for chosen in (members, others))
    name = clustering.names[number]
    if min(len(inside), len(outside)) < 2:
        raise CorpusError(
            f"cluster '{name}' lies in {len(inside)} documents and all else in {len(outside)}; each side needs 2: use a "
            "larger corpus or leave out this cluster"
        )
    return _welch(inside, outside, unit="token" if documents is None and clustering.unit == "token" else "document")


def _units(
    score: Float[np.ndarray, "n"], chosen: Int[np.ndarray, "chosen"], documents: Int[np.ndarray, "n"] | None
) -> Float[np.ndarray, "unit"]:
    """The scores of the chosen units, or their means within each document."""
    if documents is None:
        return np.asarray(score[chosen])
    _, owner = np.unique(documents[chosen], return_inverse=True)
    return np.asarray(np.bincount(owner, weights=score[chosen]) / np.bincount(owner))


def _welch(
    inside: Float[np.ndarray, "inside"], outside: Float[np.ndarray, "outside"], *, unit: Unit
) -> tuple[Effect, float]:
    difference = float(inside.mean() - outside.mean())
    flat = np.ptp(inside) == 0 and np.ptp(outside) == 0
    if flat:
        low, high, p = difference, difference, 0.0 if difference > 0 else 1.0
    else:
        test = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater")
        two_sided = stats.ttest_ind(inside, outside, equal_var=False).confidence_interval(0.95)
        low, high, p = float(two_sided.low), float(two_sided.high), float(test.pvalue)
    effect = Effect(
        estimate=difference,
        low=low,
        high=high,
        n=len(inside),
        unit=unit,
        control=f"the {len(outside)} units outside the cluster",
        metric="mean activation of the named heads (standard deviations)",
        note=NO_SPREAD if flat else "",
    )
    return effect, p


def _table(
    clustering: Clustering,
    effects: tuple[Effect, ...],
    p: Float[np.ndarray, "cluster"],
    q: Float[np.ndarray, "cluster"],
    rate: float,
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cluster": np.arange(clustering.num_clusters),
            "name": list(clustering.names),
            "size": clustering.sizes,
            "difference": [effect.estimate for effect in effects],
            "low": [effect.low for effect in effects],
            "high": [effect.high for effect in effects],
            "n": [effect.n for effect in effects],
            "p": p,
            "q": q,
            "kept": q <= rate,
        }
    )
