"""The ratio of two means of paired values, with Fieller's interval: exact for normal values, however small the denominator."""

import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from imprint.stats.effects import Effect, Unit
from imprint.stats.samples import require_sample
from imprint.stats.undefined import Estimate, Undefined


def relative_change(
    treated: Float[np.ndarray, " pair"],
    control: Float[np.ndarray, " other_pair"],
    *,
    unit: Unit,
    control_name: str,
    metric: str,
    level: float = 0.95,
) -> Estimate:
    """mean(treated) / mean(control) - 1 with Fieller's interval over pairs; positive = the treated are larger.

    Undefined where the control's mean is not above 0 by its own t interval: then every ratio is compatible with the data.
    Source: Fieller (1954). Trust: exact for normal pairs; with 5 pairs it is wide, and rightly so.
    """
    require_sample(treated, name="the treated values")
    require_sample(control, name="the control values")
    n = len(control)
    if n < 2:
        return Undefined(reason="one pair has no interval")
    x, y = treated.astype(np.float64), control.astype(np.float64)
    quantile = float(stats.t.ppf(0.5 + level / 2, n - 1))
    spread = np.cov(x, y) / n * quantile**2
    a = y.mean() ** 2 - spread[1, 1]
    if y.mean() <= 0 or a <= 0:
        return Undefined(reason=f"the mean of {control_name} is not told from 0, so a ratio to it has no bounds")
    b, c = x.mean() * y.mean() - spread[0, 1], x.mean() ** 2 - spread[0, 0]
    half = math.sqrt(max(b**2 - a * c, 0.0)) / a
    ratio = float(x.mean() / y.mean())
    return Effect(
        estimate=ratio - 1,
        low=min(b / a - half, ratio) - 1,
        high=max(b / a + half, ratio) - 1,
        n=n,
        unit=unit,
        control=control_name,
        metric=metric,
        level=level,
        note="Fieller's interval of a ratio of means",
    )
