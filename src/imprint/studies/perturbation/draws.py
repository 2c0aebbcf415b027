"""Whether a perturbation stands out among perturbations drawn at random: the draws of the control are the units.

The items are the same for the perturbation and for every draw, so with enough items any two random perturbations differ
"significantly". What must be exceeded is the spread between draws. Few draws are made of each control, so their spread is
pooled over clusters, within one ability and one family, whose controls differ in nothing that is meant to matter.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

SIMULATIONS = 4000


def residuals(draws: Float64[np.ndarray, "draw dose"]) -> Float64[np.ndarray, "draw dose"]:
    """How far each draw of a control lies from the mean of its draws, inflated for the mean having been fitted to them."""
    count = len(draws)
    return np.asarray((draws - draws.mean(0)) * np.sqrt(count / (count - 1)))


def draw_noise(
    pool: Float64[np.ndarray, "residual dose"], draws: int, *, rng: np.random.Generator, simulations: int = SIMULATIONS
) -> Float64[np.ndarray, "simulation dose"]:
    """What a perturbation that is itself but one more draw would differ from the mean of `draws` others, simulated.

    Doses stay together, because a draw that is harmful at one dose is so at another. The spread is itself estimated from few
    draws, so each simulation is scaled as Student's t is: without that a handful of residuals has no tails.

    Trust: it takes the spread between draws to be the same for all clusters of one ability and family.
    """
    target = pool[rng.integers(len(pool), size=simulations)]
    others = pool[rng.integers(len(pool), size=(simulations, draws))]
    freedom = len(pool) * (draws - 1) / draws
    scale = np.sqrt(freedom / rng.chisquare(freedom, size=simulations))
    return np.asarray((target - others.mean(1)) * scale[:, None])


def two_sided(observed: float, null: Float64[np.ndarray, "simulation"]) -> float:
    """The share of the null at least as far from zero as what was observed; never 0."""
    return float((np.sum(np.abs(null) >= abs(observed) - 1e-15) + 1) / (len(null) + 1))


def median_over(parts: Sequence[Float64[np.ndarray, "simulation dose"]]) -> Float64[np.ndarray, "simulation"]:
    """The median over the doses of all parts, simulation by simulation."""
    return np.asarray(np.median(np.concatenate(parts, axis=1), axis=1))
