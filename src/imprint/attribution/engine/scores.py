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
    tokens: Float32[np.ndarray, "curved row seq"] | None
    """Of the first queries, those with curvature; the plain ones (`<query>/dot`) have row scores only. None = not taken."""
    subspace: str
    checks: dict[str, float]
    """Self-checks that the run passed, by name (see `attribution.engine.checks`)."""
    by_group: Float[np.ndarray, "query group row"] | None = None
    """The row scores split by the subspace's groups, where tokens were not taken; they add up to `rows`."""
    groups: tuple[str, ...] = ()
    """Heads, modules or layers, in the order of `by_group`."""

    def of(self, query: str) -> Float64[np.ndarray, "row"]:
        """The row scores of one query; ConfigError names the known ones if there is none such."""
        if query not in self.queries:
            raise ConfigError(f"no query is called '{query}'; choose one of {', '.join(self.queries)}")
        scores: np.ndarray = self.rows[self.queries.index(query)]
        return scores

    def save(self, folder: Path) -> None:
        """Write `scores.npy`, `scores.json`, and `token_scores.npy` or `group_scores.npy` (memory-mappable)."""
        np.save(folder / "scores.npy", self.rows)
        if self.tokens is not None:
            np.save(folder / "token_scores.npy", self.tokens)
        if self.by_group is not None:
            np.save(folder / "group_scores.npy", self.by_group)
        words = {
            "queries": list(self.queries),
            "subspace": self.subspace,
            "checks": self.checks,
            "groups": list(self.groups),
            "sign": SIGN,
        }
        write_json(folder / "scores.json", words)

    @staticmethod
    def load(folder: Path) -> "Scores":
        """Read what `save` wrote; token scores are memory-mapped."""
        words = read_json(folder / "scores.json")
        return Scores(
            queries=tuple(words["queries"]),
            rows=np.load(folder / "scores.npy"),
            tokens=_mapped(folder / "token_scores.npy"),
            by_group=_mapped(folder / "group_scores.npy"),
            groups=tuple(words["groups"]),
            subspace=words["subspace"],
            checks=words["checks"],
        )


def _mapped(path: Path) -> np.ndarray | None:
    return np.load(path, mmap_mode="r") if path.exists() else None


def per_token(scores: Float[np.ndarray, "row"], lengths: np.ndarray) -> Float[np.ndarray, "row"]:
    """Row scores divided by the number of predicted tokens: a ranking that does not favour long documents (METHODS P1)."""
    return np.asarray(scores / np.maximum(lengths, 1))
