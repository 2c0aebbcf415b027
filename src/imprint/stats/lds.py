"""Linear datamodelling score: does a sum of scores rank the models that were trained on subsets of the rows?"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy import stats

from imprint.errors import InputError
from imprint.stats.effects import Effect
from imprint.stats.samples import require_sample

BOTH_WAYS = "interval over subsets and over queries"
_SPLITS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseCeiling:
    """How well retrained values agree with themselves from other seeds: what no score can be asked to exceed by much."""

    halves: Effect
    """Raw: Spearman between the means of two disjoint halves of the seeds."""
    full: float
    """Spearman-Brown: the agreement to expect between two means over as many seeds as there are."""
    attainable: float
    """The root of `full`: the LDS of the true expected value of every subset."""
    seeds: int


def subset_scores(
    scores: Float[np.ndarray, "query row"], kept: Bool[np.ndarray, "subset kept_row"]
) -> Float64[np.ndarray, "query subset"]:
    """The sum of the scores of the rows that each subset keeps.

    Raises:
        InputError: scores and subsets are not of the same rows.
    """
    if scores.shape[1] != kept.shape[1]:
        raise InputError(f"scores of {scores.shape[1]} rows do not fit subsets of {kept.shape[1]} rows.")
    return np.asarray(scores.astype(np.float64) @ kept.T.astype(np.float64))


def lds_by_query(
    scores: Float[np.ndarray, "query row"],
    kept: Bool[np.ndarray, "subset kept_row"],
    values: Float[np.ndarray, "retrained value"],
) -> Float64[np.ndarray, "query"]:
    """Spearman over subsets of the summed scores of the kept rows with the query's value after retraining on them.

    Positive: the score has the right sign (values are higher = better). A query whose predictions are all equal
    ranks nothing and counts as 0.
    Source: Park et al. 2023 (TRAK), LDS. Trust: of one drop size only; values of half-subsets and of small drops are
    not comparable.

    Raises:
        InputError: shapes do not fit, fewer than 3 subsets, or a query's values do not differ.
        SelfCheckFailed: a score or value is not finite.
    """
    predicted, found = _ranks(scores, kept, values)
    return np.asarray(_correlations(predicted, found, np.ones((1, kept.shape[0])))[0])


def lds(
    scores: Float[np.ndarray, "query row"],
    kept: Bool[np.ndarray, "subset kept_row"],
    values: Float[np.ndarray, "retrained value"],
    *,
    seed: int,
    control_name: str = "chance 0",
    draws: int = 1000,
    level: float = 0.95,
) -> Effect:
    """The mean over queries of `lds_by_query`, with a bootstrap interval over subsets and over queries together.

    Trust: the two-way bootstrap (Owen 2007) is conservative where neither way dominates; ranks are taken once, of all
    subsets.
    """
    sampled = _lds_draws(scores, kept, values, seed, draws)
    estimate = float(lds_by_query(scores, kept, values).mean())
    return _effect(estimate, sampled, len(kept), control_name, "LDS", level)


def lds_difference(
    scores: Float[np.ndarray, "query row"],
    other: Float[np.ndarray, "query row"],
    kept: Bool[np.ndarray, "subset kept_row"],
    values: Float[np.ndarray, "retrained value"],
    *,
    seed: int,
    control_name: str,
    draws: int = 1000,
    level: float = 0.95,
) -> Effect:
    """LDS of `scores` minus LDS of `other` on the same subsets and queries, resampled together (paired)."""
    sampled = _lds_draws(scores, kept, values, seed, draws) - _lds_draws(other, kept, values, seed, draws)
    estimate = float((lds_by_query(scores, kept, values) - lds_by_query(other, kept, values)).mean())
    return _effect(estimate, sampled, len(kept), control_name, "difference of LDS", level)


def noise_ceiling(
    values: Float[np.ndarray, "seed subset query"], *, seed: int, draws: int = 1000, level: float = 0.95
) -> NoiseCeiling:
    """Agreement between halves of the seeds, averaged over (at most 20) ways to halve them, and what follows from it.

    Raises:
        InputError: fewer than 2 seeds.

    Trust: Spearman-Brown assumes seeds that are exchangeable; with 2 seeds there is one way to halve them.
    """
    seeds = len(values)
    if seeds < 2:
        raise InputError(
            f"{seeds} seed(s) leave no halves: a noise ceiling needs at least 2 retrainings of each subset."
        )
    count, weights = seeds // 2, _resamples(values.shape[1], values.shape[2], seed, draws)
    estimates, sampled = [], []
    for half in list(combinations(range(seeds), count))[:_SPLITS]:
        others = [one for one in range(seeds) if one not in half][:count]
        left, right = (_ranked(values[list(part)].mean(0).T) for part in (half, others))
        estimates.append(_correlations(left, right, np.ones((1, values.shape[1])))[0].mean())
        sampled.append((_correlations(left, right, weights[0]) * weights[1]).sum(1))
    raw = float(np.mean(estimates))
    halves = _effect(raw, np.mean(sampled, axis=0), values.shape[1], "no agreement 0", "seed-half Spearman", level)
    ratio = seeds / count
    full = float(np.clip(ratio * raw / (1 + (ratio - 1) * raw), 0, 1)) if raw > 0 else 0.0
    return NoiseCeiling(halves=halves, full=full, attainable=full**0.5, seeds=seeds)


def _lds_draws(
    scores: Float[np.ndarray, "query row"],
    kept: Bool[np.ndarray, "subset kept_row"],
    values: Float[np.ndarray, "retrained value"],
    seed: int,
    draws: int,
) -> Float64[np.ndarray, "draw"]:
    predicted, found = _ranks(scores, kept, values)
    subsets, queries = _resamples(len(kept), len(scores), seed, draws)
    return np.asarray((_correlations(predicted, found, subsets) * queries).sum(1))


def _resamples(
    subsets: int, queries: int, seed: int, draws: int
) -> tuple[Float64[np.ndarray, "draw subset"], Float64[np.ndarray, "draw query"]]:
    """How often each draw takes every subset, and the share that it gives every query; the same for the same seed."""
    generator = np.random.default_rng(seed)
    taken = generator.multinomial(subsets, np.full(subsets, 1 / subsets), size=draws).astype(np.float64)
    asked = generator.multinomial(queries, np.full(queries, 1 / queries), size=draws) / queries
    return taken, asked


def _ranks(
    scores: Float[np.ndarray, "query row"],
    kept: Bool[np.ndarray, "subset kept_row"],
    values: Float[np.ndarray, "retrained value"],
) -> tuple[Float64[np.ndarray, "query subset"], Float64[np.ndarray, "query subset"]]:
    if values.shape != (len(kept), len(scores)):
        shape = f"{len(kept)} subsets and {len(scores)} queries"
        raise InputError(
            f"values of shape {values.shape} do not fit {shape}: give one row a subset, one column a query."
        )
    require_sample(scores, name="the scores")
    require_sample(values, at_least=3, name="the retrained values")
    if (np.ptp(values, axis=0) == 0).any():
        query = int(np.flatnonzero(np.ptp(values, axis=0) == 0)[0])
        raise InputError(f"query {query} has the same value after every retraining: it has no LDS; leave it out.")
    return _ranked(_without_rounding(subset_scores(scores, kept))), _ranked(values.T.astype(np.float64))


def _without_rounding(predicted: Float64[np.ndarray, "query subset"]) -> Float64[np.ndarray, "query subset"]:
    """Predictions that differ by rounding alone are made equal, so that constant scores rank nothing."""
    spread, size = np.ptp(predicted, axis=1), np.abs(predicted).max(axis=1)
    return np.where((spread <= 1e-12 * size)[:, None], 0.0, predicted)


def _ranked(values: Float[np.ndarray, "query subset"]) -> Float64[np.ndarray, "query subset"]:
    return np.asarray(stats.rankdata(values, axis=1), dtype=np.float64)


def _correlations(
    x: Float64[np.ndarray, "query subset"],
    y: Float64[np.ndarray, "query subset"],
    weights: Float64[np.ndarray, "draw subset"],
) -> Float64[np.ndarray, "draw query"]:
    """Weighted correlation of every row of x with that of y; 0 where one of them does not vary."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    shares = weights / weights.sum(1, keepdims=True)
    mean_x, mean_y = shares @ x.T, shares @ y.T
    covariance = shares @ (x * y).T - mean_x * mean_y
    spread = (shares @ (x * x).T - mean_x**2) * (shares @ (y * y).T - mean_y**2)
    return np.where(spread > 1e-9, covariance / np.sqrt(np.maximum(spread, 1e-9)), 0.0)


def _effect(
    estimate: float, sampled: Float64[np.ndarray, "draw"], subsets: int, control: str, metric: str, level: float
) -> Effect:
    low, high = np.quantile(sampled, [0.5 - level / 2, 0.5 + level / 2])
    return Effect(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        n=subsets,
        unit="run",
        control=control,
        metric=metric,
        level=level,
        note=BOTH_WAYS,
    )
