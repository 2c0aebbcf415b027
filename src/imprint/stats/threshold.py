"""Is there a threshold? "Only |β| > θ matters" as a change-point model against linear and smooth ones, by BIC.

Five models of the mean over doses: constant, linear, smooth (a four-parameter logistic with a Hill coefficient of at most
3, so that 10 % to 90 % of the effect takes a factor 4 in dose or more), step at θ, and hinge (flat up to θ, then linear).
Errors of different doses are correlated, because items are the same: the means are whitened by the items' covariance.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float, Float64
from scipy import stats

from imprint.stats.curve_fits import best_shapes, sigmoid, sorted_doses
from imprint.stats.effects import Effect, Unit
from imprint.stats.item_weights import item_weights
from imprint.stats.samples import NO_SPREAD
from imprint.stats.undefined import Estimate, Undefined

Shape = Literal["constant", "linear", "smooth", "step", "hinge"]
Answer = Literal["threshold", "no threshold", "undecided"]

STRONG = 6.0
"""Difference of BIC that decides (Kass and Raftery 1995: 6 to 10 is strong evidence)."""
STEEPEST_SMOOTH = 3.0
FEWEST_DOSES = 6
_PARAMETERS: Final[Mapping[Shape, int]] = {"constant": 1, "linear": 2, "smooth": 4, "step": 3, "hinge": 3}
_BETWEEN = 8
"""Places of a hinge tried between two neighbouring doses."""
_SHRUNK = 0.1
"""How far the items' covariance is shrunk towards its diagonal; binary items are often all alike at two small doses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdTest:
    """Which model of the dose curve wins, and by how much."""

    bic: Mapping[Shape, float]
    """Lower is better; only differences mean anything."""
    winner: Shape
    delta: float
    """BIC of the best model without a threshold minus that of the best one with: positive favours a threshold."""
    answer: Answer
    threshold: Estimate
    """θ in dose units of the best model that has one; undefined unless a threshold is supported."""
    misfit_p: float
    """Chi-square p that even the winner leaves more than sampling error; small: no model fits, trust none."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        plain = {name: getattr(self, name) for name in ("winner", "delta", "answer", "misfit_p")}
        return plain | {"bic": dict(self.bic), "threshold": self.threshold.as_dict()}


def threshold_test(
    doses: Float[np.ndarray, " dose"],
    values: Float[np.ndarray, "row item"],
    *,
    seed: int,
    unit: Unit = "item",
    level: float = 0.95,
    draws: int = 500,
) -> ThresholdTest:
    """Every model fitted to the same items at every dose; "threshold" only when it wins by a BIC of 6 or more.

    The interval of θ bootstraps items and never lies closer than the doses on both sides of a step.

    Raises:
        InputError: fewer than 6 doses, a negative or repeated one, or fewer rows than doses.
        SelfCheckFailed: a value is not finite.

    Trust: θ is only as sharp as the doses are dense, and a logistic steeper than a Hill coefficient of 3 counts as a
    threshold. With few items every model fits and the answer is "undecided".
    """
    ordered, table = sorted_doses(doses.astype(np.float64), values.astype(np.float64), at_least=FEWEST_DOSES)
    if np.ptp(table, axis=0).max() == 0:
        return _nothing_moves()
    whitener = _whitener(table)
    shapes = {name: _columns(name, ordered) for name in _PARAMETERS}
    items = table.shape[1]
    curve = (whitener @ table.mean(1))[None]
    fits = {name: best_shapes(whitener @ columns, curve) for name, (_, columns) in shapes.items()}
    bic = {name: float(fit.residual[0]) + _PARAMETERS[name] * math.log(items) for name, fit in fits.items()}
    winner = min(_PARAMETERS, key=lambda name: bic[name])
    abrupt: Shape = "step" if bic["step"] <= bic["hinge"] else "hinge"
    delta = min(bic["constant"], bic["linear"], bic["smooth"]) - bic[abrupt]
    answer: Answer = "threshold" if delta >= STRONG else "no threshold" if delta <= -STRONG else "undecided"
    spare = max(1, len(ordered) - _PARAMETERS[winner])
    estimate: Estimate = Undefined(reason=f"no threshold is supported: the change-point model leads by {delta:.1f} BIC")
    if answer == "threshold":
        estimate = _theta(abrupt, ordered, table, whitener, shapes[abrupt], seed, unit, level, draws)
    return ThresholdTest(
        bic=bic,
        winner=winner,
        delta=delta,
        answer=answer,
        threshold=estimate,
        misfit_p=float(stats.chi2.sf(fits[winner].residual[0], spare)),
    )


def _nothing_moves() -> ThresholdTest:
    """No item changed at any dose."""
    return ThresholdTest(
        bic={"constant": 0.0},
        winner="constant",
        delta=0.0,
        answer="no threshold",
        threshold=Undefined(reason="no item changed at any dose"),
        misfit_p=1.0,
    )


def _whitener(table: Float64[np.ndarray, "dose item"]) -> Float64[np.ndarray, "dose dose"]:
    """W with W' W = inverse covariance of the means over items."""
    covariance = np.cov(table) / table.shape[1]
    diagonal = np.diag(np.maximum(np.diag(covariance), 0.01 * np.diag(covariance).max()))
    return np.asarray(np.linalg.inv(np.linalg.cholesky((1 - _SHRUNK) * covariance + _SHRUNK * diagonal)))


def _columns(
    shape: Shape, doses: Float64[np.ndarray, " dose"]
) -> tuple[Float64[np.ndarray, " candidate"], Float64[np.ndarray, "candidate dose parameter"]]:
    """The θ (or middle) of every candidate of a model, and its linear columns: a constant and the shape."""
    ones = np.ones((1, len(doses)))
    if shape == "constant":
        return np.zeros(1), ones[..., None]
    if shape == "linear":
        return np.zeros(1), np.stack([ones, doses[None]], axis=-1)
    if shape == "smooth":
        positive = doses[doses > 0]
        grid = np.geomspace(positive.min() / 10, positive.max() * 10, 121)
        places, hills = (
            part.ravel() for part in np.meshgrid(grid, np.linspace(0.5, STEEPEST_SMOOTH, 11), indexing="ij")
        )
        curves = sigmoid(doses, places, hills)
    elif shape == "step":
        places = (doses[:-1] + doses[1:]) / 2
        curves = (doses[None] > places[:, None]).astype(np.float64)
    else:  # a hinge at the first dose would be the linear model
        parts = [np.linspace(low, high, _BETWEEN, endpoint=False) for low, high in pairwise(doses)]
        places = np.concatenate(parts)[1:]
        curves = np.maximum(doses[None] - places[:, None], 0.0)
    return places, np.stack([np.broadcast_to(ones, curves.shape), curves], axis=-1)


def _theta(
    shape: Shape,
    doses: Float64[np.ndarray, " dose"],
    table: Float64[np.ndarray, "dose item"],
    whitener: Float64[np.ndarray, "dose dose"],
    columns: tuple[Float64[np.ndarray, " candidate"], Float64[np.ndarray, "candidate dose parameter"]],
    seed: int,
    unit: Unit,
    level: float,
    draws: int,
) -> Effect:
    """θ of the winning change-point model, items resampled; a step is anywhere between its two doses."""
    places, bases = columns
    weights = item_weights(table.shape[1], None, seed=seed, draws=draws)
    resampled = np.concatenate([table @ one.T for one in weights], axis=1).T
    found = best_shapes(whitener @ bases, np.concatenate([table.mean(1)[None], resampled]) @ whitener.T).candidate
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = (float(value) for value in np.percentile(places[found[1:]], tails))
    estimate = float(places[found[0]])
    if shape == "step":
        low, high = float(doses[doses < low].max()), float(doses[doses > high].min())
    return Effect(
        estimate=estimate,
        low=min(low, estimate),
        high=max(high, estimate),
        n=table.shape[1],
        unit=unit,
        control=f"tested doses {doses[0]:g} to {doses[-1]:g}",
        metric=f"threshold of a {shape}",
        level=level,
        note=NO_SPREAD if low == high else "",
    )
