"""How well scores rank: AUC, Spearman, purity and enrichment of the top."""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats
from scipy.optimize import brentq

from imprint.errors import InputError
from imprint.stats.effects import Effect, Unit
from imprint.stats.resampling import bootstrap_interval
from imprint.stats.samples import require_sample, top_count

_PERFECT = "the two classes are perfectly separated: Hanley-McNeil score interval instead of the bootstrap"


def auc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " labels"]) -> float:
    """The chance that a positive outranks a negative, ties counting half; .5 is chance, below .5 the sign is wrong.

    Raises:
        InputError: lengths differ or one class is empty.
        SelfCheckFailed: a score is not finite.
    """
    return float(_auc_of_classes(*_classes(scores, positive)))


def auc_effect(
    scores: Float[np.ndarray, " n"],
    positive: Bool[np.ndarray, " labels"],
    *,
    seed: int,
    unit: Unit = "document",
    control_name: str = "chance 0.5",
    metric: str = "AUC",
    level: float = 0.95,
    draws: int = 1000,
) -> Effect:
    """AUC with a bootstrap interval, positives and negatives resampled separately; test it by `.excludes(0.5)`.

    Perfect separation, where the bootstrap has no width, gets the score interval that inverts the Hanley-McNeil
    variance (Newcombe 2006, method 5).

    Trust: documents must be independent; near-duplicates make the interval too narrow.
    """
    hits, misses = _classes(scores, positive)
    value = float(_auc_of_classes(hits, misses))
    perfect = value in (0.0, 1.0)
    if perfect:
        low, high = _score_interval(value, hits.size, misses.size, level)
    else:
        low, high = bootstrap_interval((hits, misses), _auc_of_classes, seed=seed, level=level, draws=draws)
    return Effect(
        estimate=value,
        low=low,
        high=high,
        n=scores.size,
        unit=unit,
        control=control_name,
        metric=metric,
        level=level,
        note=_PERFECT if perfect else "",
    )


def spearman(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"]) -> float:
    """Spearman's rank correlation. For its p-value use `permutation_of_labels(x, y, spearman, ...)`.

    Raises:
        InputError: lengths differ, fewer than 3 points, or one side is constant.
        SelfCheckFailed: a value is not finite.

    Trust: with 5 points rho >= .7 happens by chance in 11.7 % of cases (one-sided).
    """
    if x.shape != y.shape:
        raise InputError(f"{x.size} and {y.size} values cannot be correlated: give one y per x.")
    require_sample(x, at_least=3, name="x")
    require_sample(y, at_least=3, name="y")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise InputError("A rank correlation needs values that differ: one side is constant.")
    return float(stats.spearmanr(x, y).statistic)


def top_purity(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " labels"], fraction: float = 0.1) -> float:
    """The share of positives among the top `fraction` of scores; ties at the edge count by their expected share.

    Raises:
        InputError: the fraction is outside (0, 1) or one class is empty.
        SelfCheckFailed: a score is not finite.
    """
    _classes(scores, positive)
    k = top_count(scores.size, fraction)
    edge = np.partition(scores, scores.size - k)[scores.size - k]
    above, tied = scores > edge, scores == edge
    return float((positive[above].sum() + positive[tied].mean() * (k - above.sum())) / k)


def enrichment(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " labels"], fraction: float = 0.1) -> float:
    """Purity of the top `fraction` divided by the share of positives overall; 1 is chance, at most 1/share."""
    return top_purity(scores, positive, fraction) / float(positive.mean())


def _classes(
    scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " labels"]
) -> tuple[Float[np.ndarray, " hits"], Float[np.ndarray, " misses"]]:
    if scores.shape != positive.shape:
        raise InputError(f"{positive.size} labels do not fit {scores.size} scores: give one label per score.")
    require_sample(scores, name="the scores")
    hits, misses = scores[positive].astype(np.float64), scores[~positive].astype(np.float64)
    if not (hits.size and misses.size):
        raise InputError(f"{hits.size} positives and {misses.size} negatives: a ranking needs both classes.")
    return hits, misses


def _auc_of_classes(hits: np.ndarray, misses: np.ndarray, axis: int = -1) -> Any:
    ranks = stats.rankdata(np.concatenate([hits, misses], axis=axis), axis=axis)
    n, m = hits.shape[axis], misses.shape[axis]
    return (np.take(ranks, np.arange(n), axis=axis).sum(axis=axis) - n * (n + 1) / 2) / (n * m)


def _score_interval(value: float, n: int, m: int, level: float) -> tuple[float, float]:
    """Newcombe's interval at AUC 0 or 1: the values whose own standard error reaches the estimate."""
    z = float(stats.norm.ppf(0.5 + level / 2))

    def excess(theta: float) -> float:
        half = (n + m) / 2 - 1
        spread = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (n * m)
        return abs(theta - value) - z * math.sqrt(spread)

    edge = float(brentq(excess, 1e-12, 1 - 1e-12))
    return (edge, 1.0) if value == 1.0 else (0.0, edge)
