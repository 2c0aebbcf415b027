"""What a paired design could have seen: power and the smallest detectable effect (t test, statsmodels)."""

import math

from scipy import stats
from statsmodels.stats.power import TTestPower

from imprint.errors import InputError
from imprint.stats.resampling import Alternative

_SIDES = {"two-sided": "two-sided", "greater": "larger", "less": "larger"}


def paired_power(
    difference: float, sd: float, n: int, *, alpha: float = 0.05, alternative: Alternative = "two-sided"
) -> float:
    """The chance that `n` pairs show a true `difference` (in the metric's units) as p <= alpha.

    `sd` is the standard deviation of the paired differences, not of an arm. One-sided alternatives take the
    difference to lie on the side that they look at.

    Raises:
        InputError: fewer than 2 pairs, `sd` not positive, or `alpha` outside (0, 1).

    Trust: assumes a t test; the sign-flip test cannot reach p <= alpha at all where `smallest_p(n)` > alpha.
    """
    _require_design(sd, n, alpha)
    found = float(TTestPower().power(abs(difference) / sd, n, alpha, alternative=_SIDES[alternative]))
    return 1.0 if math.isnan(found) else found  # NaN: the noncentral t underflows, which happens only at power 1


def minimal_detectable_effect(
    sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05, alternative: Alternative = "two-sided"
) -> float:
    """The smallest true mean difference (in the metric's units) that `n` pairs show with the asked `power`.

    Raises:
        InputError: fewer than 2 pairs, `sd` not positive, or `alpha` or `power` outside (0, 1).
    """
    _require_design(sd, n, alpha)
    if not alpha < power < 1:
        raise InputError(f"power={power} must lie between alpha={alpha} and 1: 0.8 is usual.")
    solved = TTestPower().solve_power(nobs=n, alpha=alpha, power=power, alternative=_SIDES[alternative])
    return float(solved) * sd


def equivalence_power(margin: float, sd: float, n: int, *, alpha: float = 0.05) -> float:
    """The chance that `n` pairs show |difference| < `margin` when there is none (two one-sided t tests, approximate).

    Raises:
        InputError: fewer than 2 pairs, `sd` not positive, or `alpha` outside (0, 1).
    """
    _require_design(sd, n, alpha)
    reach = margin * math.sqrt(n) / sd - stats.t.ppf(1 - alpha, n - 1)
    return max(0.0, 2 * float(stats.t.cdf(reach, n - 1)) - 1)


def _require_design(sd: float, n: int, alpha: float) -> None:
    if n < 2:
        raise InputError(f"n={n} pairs have no power: plan at least 2, better 5.")
    if not (math.isfinite(sd) and sd > 0):
        raise InputError(f"sd={sd} of the paired differences must be positive: take it from a pilot run.")
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha} must lie strictly between 0 and 1: 0.05 is usual.")
