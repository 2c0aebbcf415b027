"""A rate of a cluster (so many per thousand words) with its interval over documents."""

import numpy as np
from jaxtyping import Float
from scipy import stats

from imprint.stats import Effect
from imprint.stats.effects import Unit


def ratio(
    part: Float[np.ndarray, "document"],
    whole: Float[np.ndarray, "document"],
    *,
    scale: float = 1.0,
    unit: Unit = "document",
    metric: str = "",
    level: float = 0.95,
    note: str = "",
) -> Effect | None:
    """`scale` times sum(part) / sum(whole), with a t interval over documents; None where it cannot be said.

    The standard error is that of the linearised ratio estimator (Cochran 1977, eq. 6.13): with r = sum(y)/sum(x) and
    e_i = (y_i - r x_i) / mean(x), it is sqrt(sum(e_i^2) / (n (n - 1))). Only documents with x_i > 0 count.

    Trust: for few documents, or one that is much longer than the others, the interval is too narrow.
    """
    kept = whole > 0
    n = int(kept.sum())
    if n < 2:
        return None
    y, x = part[kept], whole[kept]
    rate = y.sum() / x.sum()
    residual = (y - rate * x) / x.mean()
    half = stats.t.ppf(0.5 + level / 2, n - 1) * np.sqrt((residual**2).sum() / (n * (n - 1)))
    return Effect(
        estimate=float(scale * rate),
        low=float(scale * (rate - half)),
        high=float(scale * (rate + half)),
        n=n,
        unit=unit,
        control="none: a description",
        metric=metric,
        level=level,
        note=note,
    )
