"""Confidence against correctness: calibration error by two binnings, what binning alone would give, Brier, reliability."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy import stats

from imprint.errors import InputError
from imprint.stats import Effect, bootstrap_mean

Binning = Literal["width", "mass"]
_DRAWS = 1000
_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """One bin of the reliability curve: what was claimed, what came true, and the 95 % Wilson interval of the latter."""

    count: int
    confidence: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationError:
    """An expected calibration error beside the one that binning gives perfectly calibrated predictions (`floor`).

    `debiased` = error - floor, the number to compare between models. `p_calibrated` is the share of calibrated
    predictions with the same confidences whose error is at least as large (Monte Carlo, (b+1)/(draws+1)).
    """

    error: Effect
    debiased: Effect
    floor: float
    p_calibrated: float


def calibration_error(
    confidence: Float[np.ndarray, " item"],
    correct: Float[np.ndarray, " item"],
    *,
    seed: int,
    bins: int = 15,
    binning: Binning = "mass",
) -> CalibrationError:
    """ECE = Σ_b n_b/n · |accuracy_b - confidence_b| over bins of equal width in [0, 1], or of equal mass.

    Source: Naeini et al. 2015; Nixon et al. 2019 for equal mass; the floor is the consistency resampling of Bröcker &
    Smith 2007: labels drawn from the confidences themselves. Intervals are bootstrap over items, moved by the bootstrap's
    own bias (resampling adds as much again), never below 0 for the raw error.

    Raises:
        InputError: fewer than 2 items, lengths differ, or a value outside [0, 1].

    Trust: the raw error of a perfect model is about sqrt(2 bins / (pi n)) · sd, not 0; compare `debiased`. It depends on
    the number of bins, so compare only equal ones.
    """
    _check(confidence, correct)
    generator = np.random.default_rng(seed)
    place = np.eye(bins)[_bins(confidence, bins, binning)]
    (seen,) = _errors((correct - confidence)[None], place)
    null = _drawn(lambda rows: (generator.random((rows, len(correct))) < confidence) - confidence, place)
    even = np.full(len(correct), 1.0 / len(correct))
    boot = _drawn(lambda rows: generator.multinomial(len(correct), even, rows) * (correct - confidence), place)
    low, high = np.quantile(boot - boot.mean() + seen, [0.025, 0.975])
    floor = float(null.mean())

    def effect(shift: float, metric: str, control: str, least: float) -> Effect:
        return Effect(
            estimate=float(seen) - shift,
            low=min(max(float(low) - shift, least), float(seen) - shift),
            high=max(float(high) - shift, float(seen) - shift),
            n=len(correct),
            unit="item",
            control=control,
            metric=metric,
        )

    name = f"ece.{binning}"
    return CalibrationError(
        error=effect(0.0, name, "accuracy equal to confidence in every bin", 0.0),
        debiased=effect(floor, f"{name}.debiased", f"calibrated predictions, {floor:.4f}", -1.0),
        floor=floor,
        p_calibrated=float((1 + (null >= seen).sum()) / (1 + _DRAWS)),
    )


def _drawn(gaps: Callable[[int], np.ndarray], place: np.ndarray) -> Float64[np.ndarray, " draw"]:
    """The error of many draws of (correct - confidence), a hundred at a time; the bins stay those of the sample."""
    return np.concatenate([_errors(gaps(_AT_ONCE), place) for _ in range(_DRAWS // _AT_ONCE)])


def _errors(gaps: np.ndarray, place: np.ndarray) -> Float64[np.ndarray, " draw"]:
    return np.asarray(np.abs(gaps @ place).sum(1) / len(place), dtype=np.float64)


def _bins(confidence: np.ndarray, bins: int, binning: Binning) -> Int[np.ndarray, " item"]:
    """The bin of every item; equal mass gives ranks, so ties may be split between neighbouring bins."""
    if binning == "width":
        return np.minimum((confidence * bins).astype(np.int64), bins - 1)
    ranks = np.argsort(np.argsort(confidence, kind="stable"), kind="stable")
    return ranks * bins // len(confidence)


def reliability_curve(
    confidence: Float[np.ndarray, " item"],
    correct: Float[np.ndarray, " item"],
    *,
    bins: int = 10,
    binning: Binning = "mass",
) -> list[ReliabilityBin]:
    """Accuracy against confidence, bin by bin from the least confident on; empty bins are left out.

    Raises:
        InputError: as `calibration_error`.
    """
    _check(confidence, correct)
    place = _bins(confidence, bins, binning)
    return [
        _bin(confidence[place == index], correct[place == index]) for index in range(bins) if (place == index).any()
    ]


def _bin(confidence: np.ndarray, correct: np.ndarray) -> ReliabilityBin:
    accuracy, count = float(correct.mean()), len(correct)
    interval = stats.binomtest(round(correct.sum()), count).proportion_ci(method="wilson")
    return ReliabilityBin(
        count=count,
        confidence=float(confidence.mean()),
        accuracy=accuracy,
        low=float(interval.low),
        high=float(interval.high),
    )


def brier(
    probabilities: Float[np.ndarray, "item option"],
    gold: Int[np.ndarray, " item"],
    *,
    present: Bool[np.ndarray, "item option"] | None = None,
    seed: int = 0,
) -> Effect:
    """The multiclass Brier score, mean over items of Σ_k (p_k - y_k)²: 0 perfect, 2 certain and wrong, lower is better.

    `present` marks the options that an item has where items differ in their number. Guessing uniformly among K options
    gives 1 - 1/K. Source: Brier 1950.

    Raises:
        InputError: fewer than 2 items, or probabilities of an item that do not sum to 1.
    """
    shown = np.ones_like(probabilities, dtype=bool) if present is None else present
    known = np.where(shown, probabilities, 0.0)
    if len(known) < 2 or not np.allclose(known.sum(1), 1.0, atol=1e-6):
        raise InputError(
            f"The Brier score needs at least 2 items whose option probabilities sum to 1; got {len(known)}."
        )
    answer = np.zeros_like(known)
    answer[np.arange(len(gold)), gold] = 1.0
    scores = ((known - answer) ** 2).sum(1)
    chance = float(1.0 - (1.0 / shown.sum(1)).mean())
    return bootstrap_mean(
        scores, seed=seed, unit="item", control_name=f"uniform guessing {chance:.4f}", metric="brier", draws=_DRAWS
    )


def _check(confidence: np.ndarray, correct: np.ndarray) -> None:
    if len(confidence) != len(correct) or len(correct) < 2:
        raise InputError(
            f"{len(confidence)} confidences and {len(correct)} answers: calibration needs as many of both, at least 2."
        )
    values = np.concatenate([confidence, correct])
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise InputError(
            "A confidence or an answer lies outside [0, 1]; pass probabilities, and 1 for right, 0 for wrong."
        )
