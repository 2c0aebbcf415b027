"""The power by which one quantity grows with another: a straight line through logarithms, with its interval."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from imprint.stats.effects import Effect
from imprint.stats.samples import require_sample
from imprint.stats.undefined import Estimate, Undefined


def power_exponent(
    sizes: Sequence[float],
    costs: Sequence[float],
    *,
    metric: str,
    control: str = "1, in proportion",
    level: float = 0.95,
) -> Estimate:
    """The exponent b of cost = a * size^b with a t interval over the sizes; undefined for fewer than three sizes.

    Raises:
        InputError: a size or cost is not above 0.

    Trust: assumes one power over the whole range; where a fixed cost dominates the small sizes, the exponent is too low for
    the large ones. With four sizes the interval has two degrees of freedom.
    """
    if len(set(sizes)) < 3:
        return Undefined(reason=f"{len(set(sizes))} sizes were timed, and a slope with an interval needs three")
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    require_sample(np.where(x > 0, x, np.nan), name="the sizes (above 0)")
    require_sample(np.where(y > 0, y, np.nan), name="the costs (above 0)")
    line = stats.linregress(np.log(x), np.log(y))
    half = float(stats.t.ppf(0.5 + level / 2, len(x) - 2) * line.stderr)
    slope = float(line.slope)
    return Effect(
        estimate=slope,
        low=slope - half,
        high=slope + half,
        n=len(x),
        unit="run",
        control=control,
        metric=metric,
        level=level,
        note="log-log regression over sizes, t interval",
    )
