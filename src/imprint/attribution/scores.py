"""`Scores`: influence of every training row (and token) on every query, with ids, sign and provenance."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64

from imprint.errors import ConfigError
from imprint.runs import read_json, write_json

SIGN = "positive = training on it raises the query"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Influence by query, row and token; positive = training on the row (or with the token in it) raises the query.

    The row score is the sum of its token scores. A token score is the part that flows through the subspace's parameters
    *at that position*; it is not the influence of that token's own loss, because later losses reach back through attention.
    Trust: a first-order, frozen-rest estimate at one checkpoint. Never read the sum over a group as the predicted effect
    of removing the group (it was measured 2.9 times too small, METHODS AT-IF-3); retraining says what removal does.
    """

    queries: tuple[str, ...]
    rows: Float64[np.ndarray, "query row"]
    tokens: Float32[np.ndarray, "curved row seq"]
    """Of the first queries, those with curvature; the plain ones (`<query>/dot`) have row scores only."""
    subspace: str
    checks: dict[str, float]
    """Self-checks that the run passed, by name (see `attribution.checks`)."""

    def of(self, query: str) -> Float64[np.ndarray, "row"]:
        """The row scores of one query; ConfigError names the known ones if there is none such."""
        if query not in self.queries:
            raise ConfigError(f"no query is called '{query}'; choose one of {', '.join(self.queries)}")
        scores: np.ndarray = self.rows[self.queries.index(query)]
        return scores

    def save(self, folder: Path) -> None:
        """Write `scores.npy`, `token_scores.npy` (float32, memory-mappable) and `scores.json`."""
        np.save(folder / "scores.npy", self.rows)
        np.save(folder / "token_scores.npy", self.tokens)
        words = {"queries": list(self.queries), "subspace": self.subspace, "checks": self.checks, "sign": SIGN}
        write_json(folder / "scores.json", words)

    @staticmethod
    def load(folder: Path) -> "Scores":
        """Read what `save` wrote; token scores are memory-mapped."""
        words = read_json(folder / "scores.json")
        return Scores(
            queries=tuple(words["queries"]),
            rows=np.load(folder / "scores.npy"),
            tokens=np.load(folder / "token_scores.npy", mmap_mode="r"),
            subspace=words["subspace"],
            checks=words["checks"],
        )


def per_token(scores: Float[np.ndarray, "row"], lengths: np.ndarray) -> Float[np.ndarray, "row"]:
    """Row scores divided by the number of predicted tokens: a ranking that does not favour long documents (METHODS P1)."""
    return np.asarray(scores / np.maximum(lengths, 1))
