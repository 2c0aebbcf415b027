"""How often a registered threshold is passed by chance: gates on accuracies, shifts and any simulated null."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from imprint.errors import InputError
from imprint.stats.samples import require_sample

Sides = Literal["greater", "two-sided"]

_TIE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """A registered threshold and the chance to pass it when nothing is there."""

    rule: str
    """The gate in words."""
    threshold: float
    n: int
    """Points, documents or seeds that it is judged on."""
    false_positive_rate: float
    low: float
    """Of the 95 % interval of the rate; equal to it where the rate is exact."""
    high: float
    exact: bool
    scalars: int
    """How many measures may pass it."""
    family_rate: float
    """The chance that at least one of them passes, if they are independent; at most `scalars` times the rate otherwise."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def accuracy_gate(threshold: float, n: int, *, chance: float, scalars: int = 1) -> Gate:
    """The exact false-positive rate of "accuracy >= threshold" on `n` held-out documents when guessing hits `chance`.

    Raises:
        InputError: a share outside (0, 1), or no document.

    Trust: documents must be independent; near-duplicates make the true rate larger.
    """
    if not (0 < threshold <= 1 and 0 < chance < 1 and n >= 1):
        raise InputError(
            f"threshold={threshold}, chance={chance}, n={n}: give shares between 0 and 1, at least 1 document."
        )
    rate = float(stats.binom.sf(math.ceil(threshold * n - _TIE) - 1, n, chance))
    return chance_gate(f"accuracy >= {threshold:g} against chance {chance:g}", threshold, n, scalars, rate)


def shift_gate(
    sigmas: float,
    *,
    treated: int,
    control: int,
    alternative: Sides = "two-sided",
    sd_known: bool = False,
    scalars: int = 1,
) -> Gate:
    """The exact false-positive rate of "the mean moved by >= `sigmas` sd" with so many seeds an arm, sd that of a seed.

    The sd is taken from the control seeds unless it is known from elsewhere.

    Raises:
        InputError: no treated seed, no control seed (fewer than 2 where the sd comes from them), or sigmas not positive.

    Trust: seeds must be pipelines, normal, with equal sd in both arms.
    """
    if not (sigmas > 0 and treated >= 1 and control >= (1 if sd_known else 2)):
        raise InputError(
            f"a shift of {sigmas} sd with {treated} treated and {control} control seeds cannot be judged: give a positive "
            "shift, a treated seed and at least 2 control seeds (1 where the sd is known)."
        )
    reach = sigmas / math.sqrt(1 / treated + 1 / control)
    tail = float(stats.norm.sf(reach) if sd_known else stats.t.sf(reach, control - 1))
    rate = 2 * tail if alternative == "two-sided" else tail
    mark = "|shift|" if alternative == "two-sided" else "shift"
    return chance_gate(
        f"{mark} >= {sigmas:g} sd, {treated} against {control} seeds", sigmas, treated + control, scalars, rate
    )


def null_gate(rule: str, threshold: float, null: Float[np.ndarray, " draw"], *, n: int, scalars: int = 1) -> Gate:
    """The false-positive rate of any "statistic >= threshold", given what the statistic was in worlds without an effect.

    Raises:
        InputError: fewer than 100 worlds.
        SelfCheckFailed: a world's statistic is not finite.
    """
    require_sample(null, at_least=100, name=f"the null of the gate '{rule}'")
    hits = int((null >= threshold).sum())
    return chance_gate(rule, threshold, n, scalars, hits / null.size, tried=null.size)


def chance_gate(rule: str, threshold: float, n: int, scalars: int, rate: float, *, tried: int = 0) -> Gate:
    """The gate that chance passes at this rate, exactly (`tried` = 0) or in a share of `tried` simulated worlds.

    Raises:
        InputError: `scalars` is below 1.
    """
    if scalars < 1:
        raise InputError(f"scalars={scalars} must be at least 1: it counts the measures that may pass '{rule}'.")
    low, high = rate, rate
    if tried:
        interval = stats.binomtest(round(rate * tried), tried).proportion_ci(method="exact")
        low, high = float(interval.low), float(interval.high)
    return Gate(
        rule=rule,
        threshold=threshold,
        n=n,
        false_positive_rate=rate,
        low=low,
        high=high,
        exact=not tried,
        scalars=scalars,
        family_rate=1 - (1 - rate) ** scalars,
    )
