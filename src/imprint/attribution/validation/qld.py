"""QLD: how much does each query's loss rise when its own highest-scored rows are left out, against random rows?"""

import numpy as np
from jaxtyping import Float, Float64

from imprint.attribution.validation.retraining import Dropped
from imprint.errors import InputError
from imprint.stats import Effect, bootstrap_mean
from imprint.stats.samples import require_sample


def top_rows(scores: Float[np.ndarray, "query row"], count: int) -> tuple[Dropped, ...]:
    """The `count` highest-scored rows of each query, ascending; of equal scores the earlier row.

    Raises:
        InputError: `count` is not in 1 to the number of rows.
        SelfCheckFailed: a score is not finite.
    """
    require_sample(scores, name="the scores")
    if not 1 <= count <= scores.shape[1]:
        raise InputError(f"the top {count} of {scores.shape[1]} rows: ask for 1 to {scores.shape[1]}.")
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return tuple(tuple(np.sort(rows).tolist()) for rows in order)


def query_loss_difference(
    without_top: Float[np.ndarray, "query"], without_random: Float[np.ndarray, "draw asked"]
) -> Float64[np.ndarray, "query"]:
    """Each query's rise in loss, in nats: its mean value without random rows minus its value without its own top rows.

    Values are higher = better, so positive = the top rows mattered more than random ones.

    Raises:
        InputError: shapes do not fit.
    """
    if without_random.shape[1:] != without_top.shape:
        raise InputError(
            f"{without_top.size} queries do not fit random removals of {without_random.shape[1:]} queries."
        )
    return np.asarray(without_random.mean(0) - without_top, dtype=np.float64)


def qld(without_top: Float[np.ndarray, "query"], without_random: Float[np.ndarray, "draw asked"]) -> Effect:
    """The mean over queries of `query_loss_difference`, in nats, with an interval over queries.

    Source: bergson's leaderboard (query loss difference). Trust: the random removals are the same for all queries and
    their own spread is not in the interval; use at least 20.
    """
    return bootstrap_mean(
        query_loss_difference(without_top, without_random),
        seed=0,
        unit="item",
        control_name=f"as many random rows ({len(without_random)} draws)",
        metric="QLD (nats)",
    )
