"""AT-IF-3: the sum of the scores of a group is not the effect of removing it; by how much is measured here."""

import numpy as np
from jaxtyping import Float

from imprint.errors import InputError
from imprint.stats import Effect
from imprint.stats.samples import require_sample


def predicted_over_true(
    predicted: Float[np.ndarray, "query"],
    true: Float[np.ndarray, "asked"],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> Effect:
    """Mean predicted over mean true effect of removing each query's group, with a bootstrap interval over queries.

    1 = the sum is right; below 1 = the sum promises too little; negative = removal does the opposite of what was promised.

    Raises:
        InputError: lengths differ, or the true effects add up to 0.
        SelfCheckFailed: a value is not finite.

    Trust: only for scores in the query's own unit (metagradients, leave-one-out); others have no scale to compare.
    """
    if predicted.shape != true.shape:
        raise InputError(f"{predicted.size} predicted and {true.size} true effects cannot be paired.")
    require_sample(predicted, name="the predicted effects")
    require_sample(true, name="the true effects")
    if true.mean() == 0:
        raise InputError("the true effects add up to 0: there is nothing to compare the prediction with.")
    drawn = np.random.default_rng(seed).integers(0, true.size, (draws, true.size))
    below = true[drawn].mean(1)
    ratios = predicted[drawn].mean(1)[below != 0] / below[below != 0]
    low, high = np.quantile(ratios, [0.5 - level / 2, 0.5 + level / 2])
    estimate = float(predicted.mean() / true.mean())
    return Effect(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        n=true.size,
        unit="item",
        control="1: the sum of scores is the effect",
        metric="predicted over true effect",
        level=level,
    )
