"""The same items answered by two models: exact McNemar test on the items that changed."""

import numpy as np
from jaxtyping import Bool
from scipy import stats

from imprint.errors import InputError


def discordant_pairs(before: Bool[np.ndarray, " before"], after: Bool[np.ndarray, " after"]) -> tuple[int, int]:
    """How many items were right only before (b) and right only after (c), paired by position.

    Raises:
        InputError: the two runs answered a different number of items.
    """
    if before.shape != after.shape:
        raise InputError(f"{before.size} and {after.size} items cannot be paired: evaluate both models on one list.")
    return int(np.sum(before & ~after)), int(np.sum(~before & after))


def exact_mcnemar(b: int, c: int) -> float:
    """The two-sided p-value that b and c discordant items come from a fair coin; 1.0 when nothing changed.

    Raises:
        InputError: a count is negative.

    Trust: items must be independent; questions made from one template are not.
    """
    if b < 0 or c < 0:
        raise InputError(f"Discordant counts b={b}, c={c} cannot be negative: count the items that changed.")
    return float(stats.binomtest(min(b, c), b + c, 0.5).pvalue) if b + c else 1.0
