"""What a study of K conditions with n pipelines each can see: power of F, smallest detectable ICC and range."""

from typing import Literal

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

from imprint.errors import InputError

Spacing = Literal["two extremes", "even"]


def icc_power(icc: float, *, conditions: int, pipelines: int, alpha: float = 0.05) -> float:
    """The chance that F shows conditions that explain the share `icc` of a pipeline's variance, conditions being random.

    Exact for normal pipelines: F / (1 + pipelines * icc / (1 - icc)) follows the central F.

    Raises:
        InputError: fewer than 2 conditions or pipelines, an ICC outside [0, 1), or `alpha` outside (0, 1).
    """
    _require_design(conditions, pipelines, alpha)
    if not 0 <= icc < 1:
        raise InputError(f"icc={icc} must lie in [0, 1): it is the share of variance that conditions would explain.")
    between, within = _df(conditions, pipelines)
    critical = stats.f.isf(alpha, between, within)
    return float(stats.f.sf(critical / (1 + pipelines * icc / (1 - icc)), between, within))


def smallest_icc(*, conditions: int, pipelines: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest ICC that F shows with the asked `power`.

    Raises:
        InputError: fewer than 2 conditions or pipelines, `alpha` outside (0, 1), or `power` not between alpha and 1.
    """
    _require_design(conditions, pipelines, alpha)
    _require_power(power, alpha)
    between, within = _df(conditions, pipelines)
    ratio = float(stats.f.isf(alpha, between, within) / stats.f.isf(power, between, within))
    return (ratio - 1) / (ratio - 1 + pipelines)


def range_power(
    sds: float, *, conditions: int, pipelines: int, spacing: Spacing = "two extremes", alpha: float = 0.05
) -> float:
    """The chance that F shows true condition means that span `sds` standard deviations of a pipeline.

    "two extremes" puts all other conditions in the middle, the hardest case; "even" spaces them evenly.

    Raises:
        InputError: fewer than 2 conditions or pipelines, a negative range, or `alpha` outside (0, 1).
    """
    _require_design(conditions, pipelines, alpha)
    if not sds >= 0:
        raise InputError(
            f"sds={sds} must not be negative: it is the range of the true condition means in sd of a pipeline."
        )
    between, within = _df(conditions, pipelines)
    critical = float(stats.f.isf(alpha, between, within))
    noncentrality = pipelines * sds**2 * _unit_spread(conditions, spacing)
    if noncentrality == 0:
        return alpha
    return 1 - float(special.ncfdtr(between, within, noncentrality, critical))


def smallest_range(
    *,
    conditions: int,
    pipelines: int,
    power: float = 0.8,
    spacing: Spacing = "two extremes",
    alpha: float = 0.05,
) -> float:
    """The smallest range of true condition means, in sd of a pipeline, that F shows with the asked `power`.

    Raises:
        InputError: fewer than 2 conditions or pipelines, `alpha` outside (0, 1), or `power` not between alpha and 1.
    """
    _require_design(conditions, pipelines, alpha)
    _require_power(power, alpha)

    def excess(sds: float) -> float:
        return range_power(sds, conditions=conditions, pipelines=pipelines, spacing=spacing, alpha=alpha) - power

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0, high))


def _unit_spread(conditions: int, spacing: Spacing) -> float:
    """Sum of squared deviations of condition means that span 1."""
    return 0.5 if spacing == "two extremes" else float(np.linspace(0, 1, conditions).var()) * conditions


def _df(conditions: int, pipelines: int) -> tuple[int, int]:
    return conditions - 1, conditions * (pipelines - 1)


def _require_design(conditions: int, pipelines: int, alpha: float) -> None:
    if conditions < 2 or pipelines < 2:
        raise InputError(
            f"{conditions} conditions with {pipelines} pipelines have no power: plan at least 2 conditions with 2, better 5, "
            "independent pipelines each."
        )
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha} must lie strictly between 0 and 1: 0.05 is usual.")


def _require_power(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise InputError(f"power={power} must lie between alpha={alpha} and 1: 0.8 is usual.")
