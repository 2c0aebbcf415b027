"""Does the effect grow with the dose, and which dose does half of it? Monotone fit, trend test, 4PL, EC50.

The same items are answered at every dose, so items are the units: they are resampled whole, and the trend test shuffles
doses within items. METHODS §5.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from scipy.optimize import isotonic_regression

from imprint.stats.curve_fits import best_shapes, sigmoid, sorted_doses
from imprint.stats.effects import Effect, Unit
from imprint.stats.item_weights import item_weights
from imprint.stats.ranking import spearman
from imprint.stats.resampling import bootstrap_mean
from imprint.stats.undefined import Estimate, Undefined

FEWEST_DOSES = 5
"""Doses, 0 included, that a curve of four parameters needs."""
MOST_OUTSIDE = 0.25
"""EC50 is undefined when more than this share of resamples puts it outside the tested doses."""
_HILLS = np.geomspace(0.5, 16, 21)
_MIDDLES = 161
_FINER = 1.3
_NUMBERS_AT_ONCE = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Logistic:
    """The four-parameter logistic start + change * dose^hill / (dose^hill + ec50^hill); a drop has a negative change."""

    start: float
    change: float
    ec50: float
    hill: float

    def at(self, doses: Float64[np.ndarray, " dose"]) -> Float64[np.ndarray, " dose"]:
        """The fitted value at each dose."""
        share = sigmoid(doses, np.array([self.ec50]), np.array([self.hill]))[0]
        return np.asarray(self.start + self.change * share)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, ready for JSON."""
        return {"start": self.start, "change": self.change, "ec50": self.ec50, "hill": self.hill}


@dataclass(frozen=True, kw_only=True, slots=True)
class DoseResponse:
    """A metric over doses, and what may be said about its shape."""

    doses: Float64[np.ndarray, " dose"]
    """Ascending."""
    means: Float64[np.ndarray, " dose"]
    monotone: Float64[np.ndarray, " dose"]
    """The isotonic fit, falling or rising as the trend is."""
    trend: Effect
    """Change of the metric for one standard deviation of dose rank; negative: it falls as the dose grows."""
    p: float
    """Two-sided permutation p of no trend."""
    rank_correlation: float | Undefined
    """Spearman's correlation of dose and mean."""
    logistic: Logistic | Undefined
    ec50: Estimate
    """The dose that does half of the effect; undefined without an effect and outside the tested doses."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        found = self.rank_correlation
        return {
            "doses": self.doses.tolist(),
            "means": self.means.tolist(),
            "monotone": self.monotone.tolist(),
            "trend": self.trend.as_dict(),
            "p": self.p,
            "rank_correlation": found if isinstance(found, float) else found.as_dict(),
            "logistic": self.logistic.as_dict(),
            "ec50": self.ec50.as_dict(),
        }


def dose_response(
    doses: Float[np.ndarray, " dose"],
    values: Float[np.ndarray, "row item"],
    *,
    seed: int,
    metric: str = "accuracy",
    unit: Unit = "item",
    alpha: float = 0.05,
    level: float = 0.95,
    draws: int = 1000,
) -> DoseResponse:
    """The dose-response of one metric, `values` holding every item's value at every dose; give dose 0 too.

    Raises:
        InputError: fewer than 3 doses, a negative or repeated one, or fewer rows than doses.
        SelfCheckFailed: a value is not finite.

    Trust: EC50 is half of the fitted change, which the largest dose may not have reached; its interval is cut to the
    tested doses, and the note says how many resamples lay outside.
    """
    ordered, table = sorted_doses(doses.astype(np.float64), values.astype(np.float64), at_least=3)
    means = table.mean(1)
    trend = bootstrap_mean(
        _contrast(len(ordered)) @ table,
        seed=seed,
        unit=unit,
        control_name="no trend",
        metric=f"{metric} a standard deviation of dose rank",
        level=level,
        draws=draws,
    )
    p = trend_p(table, seed=seed)
    logistic, ec50 = _half_effect(ordered, table, p, seed, metric, unit, alpha, level, draws)
    flat = Undefined(reason=f"{metric} is the same at every dose")
    return DoseResponse(
        doses=ordered,
        means=means,
        monotone=np.asarray(isotonic_regression(means, increasing=trend.estimate > 0).x),
        trend=trend,
        p=p,
        rank_correlation=spearman(ordered, means) if np.ptp(means) > 0 else flat,
        logistic=logistic,
        ec50=ec50,
    )


def trend_p(values: Float64[np.ndarray, "dose item"], *, seed: int, draws: int = 2000) -> float:
    """The two-sided p that doses, in the order of the rows, have no trend: Monte Carlo, doses shuffled within items.

    Trust: it asks for a slope over dose ranks; a metric that falls and rises again can have none.
    """
    moved = values[:, np.ptp(values, axis=0) > 0].T
    contrast = _contrast(len(values))
    observed = abs(float((moved @ contrast).sum()))
    slack = 1e-9 * float(np.abs(moved).sum()) + 1e-300
    rng = np.random.default_rng(seed)
    block = max(1, _NUMBERS_AT_ONCE // max(moved.size, 1))
    beyond = 0
    for start in range(0, draws, block):
        shuffled = rng.permuted(np.broadcast_to(moved, (min(block, draws - start), *moved.shape)), axis=-1)
        beyond += int((np.abs((shuffled @ contrast).sum(-1)) >= observed - slack).sum())
    return min(1.0, (beyond + 1) / (draws + 1))


def _contrast(doses: int) -> Float64[np.ndarray, " dose"]:
    """Weights whose product with a curve is its slope over standardised dose ranks."""
    ranks = np.arange(doses) - (doses - 1) / 2
    return np.asarray(ranks / ranks.std() / doses)


def _half_effect(
    doses: Float64[np.ndarray, " dose"],
    table: Float64[np.ndarray, "dose item"],
    p: float,
    seed: int,
    metric: str,
    unit: Unit,
    alpha: float,
    level: float,
    draws: int,
) -> tuple[Logistic | Undefined, Estimate]:
    """The logistic and its EC50 with a percentile bootstrap interval over items."""
    if len(doses) < FEWEST_DOSES:
        reason = f"{len(doses)} doses are too few for a curve of four parameters: give {FEWEST_DOSES}, 0 included"
        return Undefined(reason=reason), Undefined(reason=reason)
    if p > alpha:
        reason = f"there is no dose-response to halve (trend p = {p:.2g})"
        return Undefined(reason=reason), Undefined(reason=reason)
    resampled = np.concatenate(
        [table @ w.T for w in item_weights(table.shape[1], None, seed=seed, draws=draws)], axis=1
    )
    first, *others = _logistics(doses, np.concatenate([table.mean(1)[None], resampled.T]))
    middles = np.array([one.ec50 for one in others])
    lowest, largest = float(doses[doses > 0].min()), float(doses.max())
    outside = (middles < lowest) | (middles > largest)
    if not lowest <= first.ec50 <= largest or outside.mean() > MOST_OUTSIDE:
        reason = f"half of the effect on {metric} is not placed within the tested doses {lowest:g} to {largest:g}"
        return first, Undefined(reason=f"{reason} ({outside.mean():.0%} of resamples lie outside): test others")
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = np.percentile(np.clip(middles, lowest, largest), tails)
    note = f"{outside.mean():.1%} of resamples lie outside the tested doses" if outside.any() else ""
    share = sigmoid(doses, np.array([first.ec50]), np.array([first.hill]))[0]
    if not ((share > 0.1) & (share < 0.9)).any():
        low, high = min(low, doses[share <= 0.1].max()), max(high, doses[share >= 0.9].min())
        note = f"no tested dose lies on the slope: anywhere between {low:g} and {high:g}"
    return first, Effect(
        estimate=first.ec50,
        low=min(float(low), first.ec50),
        high=max(float(high), first.ec50),
        n=table.shape[1],
        unit=unit,
        control=f"tested doses {lowest:g} to {largest:g}",
        metric=f"EC50 of {metric}",
        level=level,
        note=note,
    )


def _logistics(doses: Float64[np.ndarray, " dose"], curves: Float64[np.ndarray, "curve dose"]) -> list[Logistic]:
    """The best logistic of every curve, the first one on a finer grid; middles reach ten times beyond the doses."""
    positive = doses[doses > 0]
    middles = np.geomspace(positive.min() / 10, positive.max() * 10, _MIDDLES)
    coarse = _on_grid(doses, curves, middles, _HILLS)
    around = [
        coarse[0].ec50 * np.geomspace(1 / _FINER, _FINER, 41),
        coarse[0].hill * np.geomspace(1 / _FINER, _FINER, 41),
    ]
    return _on_grid(doses, curves[:1], *around) + coarse[1:]


def _on_grid(
    doses: Float64[np.ndarray, " dose"],
    curves: Float64[np.ndarray, "curve dose"],
    middles: Float64[np.ndarray, " middle"],
    hills: Float64[np.ndarray, " hill"],
) -> list[Logistic]:
    places, steepness = (part.ravel() for part in np.meshgrid(middles, hills, indexing="ij"))
    shapes = sigmoid(doses, places, steepness)
    found = best_shapes(np.stack([np.ones_like(shapes), shapes], axis=-1), curves)
    return [
        Logistic(start=float(start), change=float(change), ec50=float(places[best]), hill=float(steepness[best]))
        for best, (start, change) in zip(found.candidate, found.coefficients, strict=True)
    ]
