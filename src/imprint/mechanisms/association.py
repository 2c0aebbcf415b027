"""Which dimensions of a representation go with which cluster: S(i, k), Cohen's d, AUC, and the sets R_k."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import stats

from imprint.errors import ConfigError, CorpusError
from imprint.mechanisms.moments import blocks
from imprint.stats import Effect, benjamini_hochberg
from imprint.stats.samples import require_sample

Test = Literal["welch", "mann-whitney"]
Tail = Literal["both", "high", "low"]

_DIMS_AT_ONCE = 64
_DEAD = 1e-12
"""A dimension whose spread is below this share of its largest value never varies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """Association of every dimension with every cluster. Positive (AUC above .5): more active in the cluster."""

    raw: Float[np.ndarray, "d cluster"]
    """S(i, k) of source 001: mean inside minus mean outside, in units of the activation."""
    cohen_d: Float[np.ndarray, "d cluster"]
    """The same in units of the pooled standard deviation; 0 where a dimension never varies."""
    auc: Float[np.ndarray, "d cluster"]
    p: Float[np.ndarray, "d cluster"]
    q: Float[np.ndarray, "d cluster"]
    """Benjamini-Hochberg over the whole matrix."""
    sizes: Int[np.ndarray, "cluster"]
    n: int
    names: tuple[str, ...]
    test: Test


def raw_scores(values: Float[np.ndarray, "doc d"], labels: Int[np.ndarray, "doc"]) -> Float[np.ndarray, "d cluster"]:
    """S(i, k) = mean of dimension i over cluster k minus its mean over everything else (source 001, section 2.2).

    Trust: in units of each dimension, so the largest scores belong to the loudest dimensions: a pure-noise unit of sd 50
    outranks a real one of sd 1 (METHODS §5). Use `associate` unless you need the formula by its name.
    """
    inside = _indicator(labels, _cluster_count(labels))
    sizes = inside.sum(0)
    total = np.zeros((values.shape[1], len(sizes)))
    everything = np.zeros(values.shape[1])
    for span, block in blocks(values):
        total += block.T @ inside[span]
        everything += block.sum(0)
    return np.asarray(total / sizes - (everything[:, None] - total) / (len(labels) - sizes))


def dims_above(scores: Float[np.ndarray, "d cluster"], cluster: int, threshold: float) -> Int[np.ndarray, "chosen"]:
    """R_k = {i | S(i, k) > threshold} of source 001, the highest score first. One tail, no test: see `associated_dims`."""
    order = np.argsort(-scores[:, cluster], kind="stable")
    return np.asarray(order[scores[order, cluster] > threshold])


def associate(
    values: Float[np.ndarray, "doc d"],
    labels: Int[np.ndarray, "doc"],
    *,
    names: Sequence[str] | None = None,
    test: Test = "welch",
    minimum: int = 10,
) -> Association:
    """Compare every dimension inside and outside every cluster: S, Cohen's d, AUC, p and Benjamini-Hochberg q.

    One row per document (see `document_means`). Label -1 is noise: never a cluster, but part of everybody's rest.

    Raises:
        CorpusError: fewer than two groups, or a cluster (or its rest) with fewer than `minimum` rows.
        SelfCheckFailed: an activation is not finite.

    Trust: Welch needs roughly normal document means, Mann-Whitney does not; both need independent documents, so remove
    near-duplicates. An association says where a cluster is visible, not what uses it: perturb to know.
    """
    count = _cluster_count(labels)
    labelled = tuple(names) if names is not None else tuple(f"cluster {number}" for number in range(count))
    if len(labelled) != count:
        raise ConfigError(f"{len(labelled)} names do not fit {count} clusters: give one name per cluster.")
    inside = _indicator(labels, count)
    _check_sizes(inside, labelled, minimum)
    require_sample(values, name="the activations")
    columns = [
        _compare(np.asarray(values[:, start : start + _DIMS_AT_ONCE]), inside, test)
        for start in range(0, values.shape[1], _DIMS_AT_ONCE)
    ]
    raw, cohen_d, auc, p = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return Association(
        raw=raw,
        cohen_d=cohen_d,
        auc=auc,
        p=p,
        q=benjamini_hochberg(p),
        sizes=inside.sum(0).astype(np.int64),
        n=len(labels),
        names=labelled,
        test=test,
    )


def associated_dims(
    association: Association,
    cluster: int,
    *,
    rate: float = 0.05,
    least: float = 0.2,
    top: int | None = None,
    tail: Tail = "both",
) -> Int[np.ndarray, "chosen"]:
    """R_k by default: dimensions with q <= `rate` and |d| >= `least`, strongest first, at most `top` of them.

    `tail` "both" also takes dimensions that are quieter in the cluster, which the source's one-sided rule misses.
    """
    d, q = association.cohen_d[:, cluster], association.q[:, cluster]
    strength = np.abs(d) if tail == "both" else d if tail == "high" else -d
    order = np.argsort(-strength, kind="stable")
    return order[(strength[order] >= least) & (q[order] <= rate)][:top]


def association_effect(association: Association, dim: int, cluster: int, *, level: float = 0.95) -> Effect:
    """Cohen's d of one dimension and cluster with its large-sample interval (Hedges and Olkin 1985).

    Trust: the interval is for one dimension named beforehand; of the largest of many, the estimate itself is too large.
    """
    d = float(association.cohen_d[dim, cluster])
    inside = int(association.sizes[cluster])
    outside = association.n - inside
    half = float(stats.norm.ppf(0.5 + level / 2)) * (1 / inside + 1 / outside + d * d / (2 * association.n)) ** 0.5
    return Effect(
        estimate=d,
        low=d - half,
        high=d + half,
        n=association.n,
        unit="document",
        control="all documents outside the cluster",
        metric=f"Cohen's d of dimension {dim} for {association.names[cluster]}",
        level=level,
    )


def shuffled_discoveries(
    values: Float[np.ndarray, "doc d"],
    labels: Int[np.ndarray, "doc"],
    *,
    draws: int,
    seed: int,
    rate: float = 0.05,
) -> Int[np.ndarray, "draw"]:
    """The null: how many dimension-cluster pairs pass q <= `rate` when labels are shuffled over documents.

    Should be 0 in 1 - `rate` of the draws; more means that the rows are not independent documents.
    """
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        inside = _indicator(generator.permutation(labels), _cluster_count(labels))
        found.append(int((benjamini_hochberg(_welch(values, inside)[2]) <= rate).sum()))
    return np.asarray(found)


def association_table(association: Association) -> pl.DataFrame:
    """One row per dimension and cluster: dim, cluster, raw, cohen_d, auc, p, q."""
    d, count = association.raw.shape
    columns = {name: getattr(association, name).ravel() for name in ("raw", "cohen_d", "auc", "p", "q")}
    names = {"dim": np.repeat(np.arange(d), count), "cluster": list(association.names) * d}
    return pl.DataFrame({**names, **columns})


def _cluster_count(labels: np.ndarray) -> int:
    return int(labels.max(initial=-1)) + 1


def _indicator(labels: np.ndarray, count: int) -> Float[np.ndarray, "doc cluster"]:
    return np.asarray(labels[:, None] == np.arange(count), dtype=np.float64)


def _check_sizes(inside: np.ndarray, names: tuple[str, ...], minimum: int) -> None:
    if not names:
        raise CorpusError("No document belongs to a cluster (all labels are -1), so there is nothing to associate.")
    sides = np.stack([inside.sum(0), (1 - inside).sum(0)])
    side, cluster = np.unravel_index(int(sides.argmin()), sides.shape)
    if sides[side, cluster] < max(2, minimum):
        where = f"Cluster '{names[cluster]}'" if side == 0 else f"The rest beside cluster '{names[cluster]}'"
        raise CorpusError(
            f"{where} has {sides[side, cluster]:.0f} documents, but at least {max(2, minimum)} are needed on each side: "
            "merge clusters or add documents."
        )


def _compare(values: np.ndarray, inside: np.ndarray, test: Test) -> tuple[np.ndarray, ...]:
    raw, cohen_d, p = _welch(values, inside)
    auc, rank_p = _ranked(values, inside)
    return raw, cohen_d, auc, p if test == "welch" else rank_p


def _welch(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S, Cohen's d and the p-value of Welch's t test, all (d, cluster)."""
    size = inside.sum(0)
    rest = len(inside) - size
    centre = values.mean(0, dtype=np.float64)
    centred = values.astype(np.float64) - centre
    total, squares = centred.T @ inside, np.square(centred).T @ inside
    all_squares = np.square(centred).sum(0)[:, None]
    mean_in, mean_out = total / size, (centred.sum(0)[:, None] - total) / rest
    scatter_in = np.maximum(squares - size * mean_in**2, 0)
    scatter_out = np.maximum(all_squares - squares - rest * mean_out**2, 0)
    pooled = np.sqrt((scatter_in + scatter_out) / (size + rest - 2))
    raw = mean_in - mean_out
    dead = pooled <= _DEAD * np.maximum(np.abs(values).max(0).astype(np.float64), 1e-300)[:, None]
    error_in, error_out = scatter_in / (size - 1) / size, scatter_out / (rest - 1) / rest
    with np.errstate(divide="ignore", invalid="ignore"):
        t = raw / np.sqrt(error_in + error_out)
        freedom = (error_in + error_out) ** 2 / (error_in**2 / (size - 1) + error_out**2 / (rest - 1))
        p = 2 * stats.t.sf(np.abs(t), freedom)
        cohen_d = raw / pooled
    return raw, np.where(dead, 0.0, cohen_d), np.where(dead, 1.0, p)


def _ranked(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC and the two-sided p-value of the Mann-Whitney test (normal approximation, ties and continuity corrected)."""
    n, size = len(inside), inside.sum(0)
    rest = n - size
    ranks = stats.rankdata(values.T, axis=1)
    wins = ranks @ inside - size * (size + 1) / 2
    spread = np.square(ranks - (n + 1) / 2).sum(1)[:, None]  # (n^3 - n) / 12 less what ties take away
    deviation = np.sqrt(size * rest * spread / (n * (n - 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (np.abs(wins - size * rest / 2) - 0.5) / deviation
    p = np.where(deviation > 0, np.minimum(1.0, 2 * stats.norm.sf(z)), 1.0)
    return wins / (size * rest), p
