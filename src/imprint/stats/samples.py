"""What may enter a statistic: finite numbers, enough independent units, some spread."""

import numpy as np
from jaxtyping import Float

from imprint.errors import InputError, SelfCheckFailed

NO_SPREAD = "all units gave the same value: the interval has no width and says nothing about uncertainty"
"""The note of an effect whose units did not vary."""


def require_sample(values: Float[np.ndarray, "*shape"], *, at_least: int = 2, name: str = "the sample") -> None:
    """Refuse a sample that is too small or holds NaN or infinity.

    Raises:
        InputError: fewer than `at_least` values.
        SelfCheckFailed: a value is not finite; the message gives the first position.
    """
    if values.size < at_least:
        raise InputError(f"{name} has {values.size} value(s), at least {at_least} are needed: add independent units.")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise SelfCheckFailed(
            f"{name} holds {bad.size} value(s) that are not finite, the first ({values.flat[bad[0]]}) at position "
            f"{bad[0]}: look for a diverged run."
        )


def require_fraction(fraction: float) -> None:
    """Refuse a fraction outside (0, 1).

    Raises:
        InputError: the fraction is not strictly between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction={fraction} must lie strictly between 0 and 1: write 0.1 for the top 10 %.")


def paired_differences(
    treated: Float[np.ndarray, " treated"], control: Float[np.ndarray, " control"]
) -> Float[np.ndarray, " pairs"]:
    """Treated minus control, in double precision, after both arms were checked.

    Differences that agree up to rounding (1e-12 of the largest value) are made equal, so that "no spread" is seen.

    Raises:
        InputError: fewer than 2 pairs, or arms of different length.
        SelfCheckFailed: a value is not finite.
    """
    if treated.shape != control.shape:
        raise InputError(f"{treated.size} treated and {control.size} control values cannot be paired: drop the rest.")
    require_sample(treated, name="the treated arm")
    require_sample(control, name="the control arm")
    differences = treated.astype(np.float64) - control.astype(np.float64)
    rounding = 1e-12 * max(np.abs(treated).max(), np.abs(control).max())
    return np.full_like(differences, np.median(differences)) if np.ptp(differences) <= rounding else differences


def top_count(n: int, fraction: float) -> int:
    """How many of `n` the top `fraction` holds: rounded to the nearest whole number, never 0."""
    require_fraction(fraction)
    return max(1, round(fraction * n))
