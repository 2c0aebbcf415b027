"""Least squares with standard errors clustered by seed: the one regression behind the structural models."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

from imprint.errors import InputError
from imprint.stats import Effect

FEWEST_CLUSTERS = 2
ENOUGH_CLUSTERS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficient:
    """The change of `effect` per unit of `cause`, everything else in its equation held."""

    cause: str
    effect: str
    slope: Effect
    p: float


def least_squares(
    design: Float[np.ndarray, "row column"], outcome: Float[np.ndarray, "row"]
) -> Float[np.ndarray, "column"]:
    """The coefficients; of all that fit equally well the smallest."""
    return np.asarray(np.linalg.lstsq(design, outcome, rcond=None)[0])


def clustered_covariance(
    design: Float[np.ndarray, "row column"],
    residual: Float[np.ndarray, "row"],
    clusters: Shaped[np.ndarray, "row"],
    absorbed: int = 0,
) -> Float[np.ndarray, "column column"]:
    """The CR1 sandwich: (X'X)^-1 (sum over clusters of X_g' e_g e_g' X_g) (X'X)^-1, times G/(G-1) * (n-1)/(n-k).

    `absorbed` counts parameters that were taken out before (fixed effects) and belong to k.
    """
    names = np.unique(clusters)
    bread = np.linalg.pinv(design.T @ design)
    scores = np.stack([design[clusters == name].T @ residual[clusters == name] for name in names])
    rows, columns = design.shape
    free = max(rows - columns - absorbed, 1)
    factor = len(names) / (len(names) - 1) * (rows - 1) / free
    return np.asarray(factor * bread @ (scores.T @ scores) @ bread)


def coefficients(
    design: Float[np.ndarray, "row column"],
    outcome: Float[np.ndarray, "row"],
    clusters: Shaped[np.ndarray, "row"],
    *,
    causes: tuple[str, ...],
    effect: str,
    absorbed: int = 0,
) -> tuple[Coefficient, ...]:
    """The first columns' coefficients, one a cause, with t intervals on G - 1 degrees of freedom.

    Raises:
        InputError: fewer than 2 clusters, or no more rows than parameters.

    Trust: with under about 10 clusters these intervals are too narrow, too.
    """
    groups = len(np.unique(clusters))
    if groups < FEWEST_CLUSTERS:
        raise InputError(f"the equation of '{effect}' has runs of {groups} seed: train at least 2, better 10 seeds")
    if len(outcome) <= design.shape[1] + absorbed:
        raise InputError(
            f"the equation of '{effect}' has {len(outcome)} runs for {design.shape[1] + absorbed} coefficients: "
            "train more runs or take parents out of the graph"
        )
    found = least_squares(design, outcome)
    covariance = clustered_covariance(design, outcome - design @ found, clusters, absorbed)
    return tuple(
        _coefficient(cause, effect, float(found[place]), float(covariance[place, place]) ** 0.5, groups)
        for place, cause in enumerate(causes)
    )


def _coefficient(cause: str, effect: str, slope: float, error: float, groups: int) -> Coefficient:
    half = float(stats.t.ppf(0.975, groups - 1)) * error
    p = float(2 * stats.t.sf(abs(slope) / error, groups - 1)) if error > 0 else float(slope == 0)
    return Coefficient(
        cause=cause,
        effect=effect,
        slope=Effect(
            estimate=slope,
            low=slope - half,
            high=slope + half,
            n=groups,
            unit="pipeline seed",
            control=f"{cause} one unit lower",
            metric=effect,
            note="" if groups >= ENOUGH_CLUSTERS else f"clustered by {groups} seeds only: the interval is too narrow",
        ),
        p=p,
    )
