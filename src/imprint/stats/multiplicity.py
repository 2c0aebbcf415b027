"""Many tests at once: the false discovery rate."""

import numpy as np
from jaxtyping import Float
from scipy import stats

from imprint.errors import InputError


def benjamini_hochberg(p: Float[np.ndarray, "*tests"]) -> Float[np.ndarray, "*tests"]:
    """The Benjamini-Hochberg q-value of every test, in the shape of `p`; reject where q <= the rate you accept.

    A matrix (heads x abilities) is corrected as one family.

    Raises:
        InputError: a p-value is NaN or outside [0, 1].

    Trust: controls the rate for independent or positively dependent tests, as heads of one layer usually are.
    """
    if not np.all((p >= 0) & (p <= 1)):
        bad = p[~((p >= 0) & (p <= 1))][0]
        raise InputError(f"p={bad} is not a p-value: every entry must lie in [0, 1]; drop tests that were not run.")
    return np.asarray(stats.false_discovery_control(p.ravel()), dtype=p.dtype).reshape(p.shape)
