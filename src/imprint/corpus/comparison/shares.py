"""A share of independent units with its exact interval."""

from scipy.stats import binomtest

from imprint.stats import Effect
from imprint.stats.effects import Unit


def share(part: int, whole: int, *, metric: str, control: str, unit: Unit, note: str = "") -> Effect:
    """`part / whole` with the exact binomial interval (Clopper & Pearson 1934), which has width at 0 and 1 too.

    Raises:
        InputError: fewer than 2 units.
    """
    interval = binomtest(part, max(whole, 1)).proportion_ci(confidence_level=0.95, method="exact")
    return Effect(
        estimate=part / max(whole, 1),
        low=float(interval.low),
        high=float(interval.high),
        n=whole,
        unit=unit,
        control=control,
        metric=metric,
        note=note,
    )
