"""Planted recall: are the rows that were put there for a query among its highest-scored ones?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from imprint.errors import InputError
from imprint.stats import Effect, auc, bootstrap_mean
from imprint.stats.retrieval import recall_at, reciprocal_rank


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedRecall:
    """How well scores find planted rows, means over queries with intervals over queries."""

    recall: Effect
    """Share of the planted rows among the `k` highest."""
    k: int
    reciprocal_rank: Effect
    """MRR: one over the rank of the first planted row."""
    auc: Effect
    """Chance that a planted row outranks another; .5 is chance."""


def planted_recall(
    scores: Float[np.ndarray, "query row"], planted: Bool[np.ndarray, "_query _row"], *, k: int | None = None
) -> PlantedRecall:
    """Recall@k, MRR and AUC of planted rows; `k` defaults to the largest number planted for a query.

    Trust: planted copies are found by counting shared words too; that a method finds them says that it is not broken,
    not that it is better than counting.

    Raises:
        InputError: shapes differ, a query has nothing planted (or everything), or there are fewer than 2 queries.
        SelfCheckFailed: a score is not finite.
    """
    if scores.shape != planted.shape:
        raise InputError(f"labels of shape {planted.shape} do not fit scores of shape {scores.shape}.")
    places = int(planted.sum(1).max()) if k is None else k
    pairs = list(zip(scores, planted, strict=True))

    def mean(metric: str, values: list[float], chance: str) -> Effect:
        return bootstrap_mean(np.array(values), seed=0, unit="item", control_name=chance, metric=metric)

    share = f"chance {places / scores.shape[1]:.3f}"
    return PlantedRecall(
        recall=mean(f"recall@{places}", [recall_at(*pair, places) for pair in pairs], share),
        k=places,
        reciprocal_rank=mean("MRR", [reciprocal_rank(*pair) for pair in pairs], "chance near 0"),
        auc=mean("AUC", [auc(*pair) for pair in pairs], "chance 0.5"),
    )
