"""Bayesian curve posterior: which sigmoids fit a curve's first points, weighted by how common they are in its domain."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from imprint.emergence.trajectories.curves import Curve

HEIGHTS = (0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
WIDTHS = (0.06, 0.12, 0.25, 0.5, 1.0)
OFFSETS = (0.0, -0.05, 0.05)
FLAT_OFFSETS = (0.0, 0.05, -0.05, 0.12, -0.12)
SCATTER = 0.03
"""Standard deviation of real curves around their sigmoid, beyond the items' sampling error."""
WORST = 25.0
"""Squared standardised residual beyond which a point counts no more: one odd evaluation does not decide."""
ITERATIONS = 15
OWN_CURVES = 10.0
"""A domain's prior is believed over the general one as if the general one were so many of its curves."""

Shapes = Float[np.ndarray, "shape 4"]


@dataclass(frozen=True, kw_only=True)
class CurvePrior:
    """Sigmoids (height, middle, width, offset) and how common each is, in general and by domain."""

    shapes: Shapes
    weights: Float[np.ndarray, "shape"]
    by_domain: Mapping[tuple[str, str], Float[np.ndarray, "shape"]]

    def of(self, curve: Curve) -> Float[np.ndarray, "shape"]:
        """The prior of a curve: its domain's within its source, or the general one."""
        return self.by_domain.get((curve.source, curve.domain), self.weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveForecast:
    """What the posterior says about one horizon."""

    p: float
    """Probability that the score there counts as emerged."""
    mean: float
    sd: float
    best: float
    """The score there of the single sigmoid that fits best."""
    lead: float
    """(mean - threshold) / sd."""


def sigmoids(shapes: Shapes, x: Float[np.ndarray, "point"]) -> Float[np.ndarray, "shape point"]:
    """The chance-corrected score of every shape at every point."""
    height, middle, width, offset = (column[:, None] for column in shapes.T)
    return np.asarray(offset + height / (1 + np.exp(-np.clip((x[None, :] - middle) / width, -50, 50))))


def shape_grid(low: float, high: float) -> Shapes:
    """Sigmoids with middles from half a decade below `low` to two and a half above `high`, and flat lines."""
    middles = np.arange(low - 0.5, high + 2.5, 0.2)
    rising = [(h, m, w, o) for h in HEIGHTS for m in middles for w in WIDTHS for o in OFFSETS]
    return np.array([*rising, *((0.0, 0.0, 1.0, offset) for offset in FLAT_OFFSETS)])


def log_likelihood(shapes: Shapes, curve: Curve) -> Float[np.ndarray, "shape point"]:
    """Of every shape, at each of the curve's points; robust."""
    spread = np.sqrt(curve.se**2 + SCATTER**2)
    residual = (sigmoids(shapes, curve.x) - curve.z[None, :]) / spread[None, :]
    return np.asarray(-0.5 * np.minimum(residual**2, WORST))


def fit_prior(curves: Sequence[Curve], *, most: int = 600, seed: int = 0) -> CurvePrior:
    """Learn by expectation-maximisation how common each shape is.

    Trust: shapes are single sigmoids; a curve that falls or rises twice is fitted by its trend. Priors of domains with few
    curves lean on the general one.
    """
    chosen = list(curves)
    if len(chosen) > most:
        chosen = [chosen[at] for at in np.sort(np.random.default_rng(seed).choice(len(chosen), most, replace=False))]
    low, high = min(curve.x[0] for curve in curves), max(curve.x[-1] for curve in curves)
    shapes = shape_grid(float(low), float(high))
    evidence = np.array([log_likelihood(shapes, curve).sum(1) for curve in chosen])
    flat = np.full(len(shapes), 1 / len(shapes))
    general = _mixture(evidence, flat, strength=0.03 * len(evidence))
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, curve in enumerate(chosen):
        members[(curve.source, curve.domain)].append(index)
    domains = {key: _mixture(evidence[rows], general, strength=OWN_CURVES) for key, rows in members.items()}
    return CurvePrior(shapes=shapes, weights=general, by_domain=domains)


def _mixture(
    evidence: Float[np.ndarray, "curve shape"], base: Float[np.ndarray, "shape"], *, strength: float
) -> Float[np.ndarray, "shape"]:
    """Weights of the shapes by EM, with `strength` pseudo-curves spread as `base`."""
    weights = base
    for _ in range(ITERATIONS):
        share = evidence + np.log(weights + 1e-12)
        share = np.exp(share - share.max(1, keepdims=True))
        weights = (share / share.sum(1, keepdims=True)).sum(0) + strength * base
        weights = weights / weights.sum()
    return weights


def forecast(
    prior: CurvePrior, seen: Curve, horizons: Sequence[float], *, threshold: float, error: float
) -> list[CurveForecast]:
    """Forecasts from the points that were seen; `error` is the sampling error expected of the score to come."""
    fits = log_likelihood(prior.shapes, seen).sum(1)
    posterior = fits + np.log(prior.of(seen) + 1e-12)
    posterior = np.exp(posterior - posterior.max())
    posterior /= posterior.sum()
    best = int(fits.argmax())
    values = sigmoids(prior.shapes, np.asarray(horizons, dtype=float))
    noise = float(np.sqrt(error**2 + SCATTER**2))
    found = []
    for column in values.T:
        mean = float(posterior @ column)
        sd = float(np.sqrt(posterior @ (column - mean) ** 2 + noise**2))
        p = float(posterior @ norm.sf((threshold - column) / noise))
        found.append(CurveForecast(p=p, mean=mean, sd=sd, best=float(column[best]), lead=(mean - threshold) / sd))
    return found
