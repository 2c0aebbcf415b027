"""How high planted rows come in a ranking: recall among the top k and reciprocal rank (see also `ranking.auc`)."""

import numpy as np
from jaxtyping import Bool, Float

from imprint.errors import InputError
from imprint.stats.samples import require_sample


def recall_at(scores: Float[np.ndarray, " n"], planted: Bool[np.ndarray, " labels"], k: int) -> float:
    """The share of the planted rows among the `k` highest scores; ties at the edge count by their expected share.

    With more planted rows than places the best possible value is k over their number.

    Raises:
        InputError: nothing is planted, or k is outside 1 to n.
        SelfCheckFailed: a score is not finite.
    """
    _check(scores, planted)
    if not 1 <= k <= scores.size:
        raise InputError(f"k={k} of {scores.size} scores: ask for 1 to {scores.size}.")
    edge = np.partition(scores, scores.size - k)[scores.size - k]
    above, tied = scores > edge, scores == edge
    share = (k - above.sum()) / tied.sum()
    return float((planted[above].sum() + share * planted[tied].sum()) / planted.sum())


def reciprocal_rank(scores: Float[np.ndarray, " n"], planted: Bool[np.ndarray, " labels"]) -> float:
    """One over the rank of the highest planted row; a row tied with others takes the middle of their ranks.

    Raises:
        InputError: nothing is planted.
        SelfCheckFailed: a score is not finite.
    """
    _check(scores, planted)
    best = scores[planted].max()
    return float(1 / ((scores > best).sum() + ((scores == best).sum() + 1) / 2))


def _check(scores: Float[np.ndarray, " n"], planted: Bool[np.ndarray, " labels"]) -> None:
    if scores.shape != planted.shape:
        raise InputError(f"{planted.size} labels do not fit {scores.size} scores: give one label per score.")
    require_sample(scores, name="the scores")
    if not planted.any():
        raise InputError("no row is planted: recall has nothing to look for.")
