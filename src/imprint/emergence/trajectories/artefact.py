"""Is a jump in the ability or in its metric? A bend in the score that a continuous metric of the same model does not show."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.errors import InputError

STRONG = 6.0
"""Difference of BIC that decides (Kass and Raftery 1995)."""
FEWEST_POINTS = 6
EXACT = 1e-12
_PLACES = 41

Values = Float[np.ndarray, "point"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bend:
    """Flat and then rising, against one straight line; `delta` is the line's BIC minus the bend's, `at` where it bends."""

    found: bool
    delta: float
    at: float


def bend(x: Values, values: Values) -> Bend:
    """Whether values along log10 of a scale are better described as flat and then rising than as a straight line.

    Raises:
        InputError: fewer than 6 points, or scales out of order.

    Trust: it sees convexity, whatever its cause; a smooth acceleration bends too. Use it beside a continuous metric
    (`metric_artefact`), not alone.
    """
    if len(x) < FEWEST_POINTS or (np.diff(x) <= 0).any():
        raise InputError(f"a bend needs at least {FEWEST_POINTS} points in rising order of scale, not {len(x)}")
    straight = _bic(values, np.stack([np.ones_like(x), x], axis=1), parameters=2)
    places = np.linspace(x[1], x[-2], _PLACES)
    bent = [_bic(values, np.stack([np.ones_like(x), np.maximum(x - at, 0)], axis=1), parameters=3) for at in places]
    best = int(np.argmin(bent))
    rising = values[x > places[best]].mean() > values[x <= places[best]].mean()
    delta = float(straight - bent[best])
    return Bend(found=bool(delta >= STRONG and rising), delta=delta, at=float(places[best]))


def metric_artefact(x: Values, score: Values, continuous: Values) -> bool:
    """Whether the score bends where the continuous metric (log-probability, Brier) of the same models goes on as before."""
    return bend(x, score).found and not bend(x, continuous).found


def _bic(values: Values, design: Float[np.ndarray, "point column"], *, parameters: int) -> float:
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    error = float(np.mean((values - fitted) ** 2)) + EXACT
    return float(len(values) * np.log(error) + parameters * np.log(len(values)))
