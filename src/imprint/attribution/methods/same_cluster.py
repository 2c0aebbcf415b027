"""Same-cluster oracle: 1 for rows of the query's own cluster; no model at all, and hard to beat."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class SameCluster:
    """1 where a row's group is the query's, else 0.

    Cost: none, but it needs labels that a real corpus may not have. Trust: an oracle of the domain, not of influence; it had
    LDS .46 where the best curved method had .51, so what a method adds *within* the cluster is what it is worth.
    """

    name: ClassVar[str] = "same cluster"
    needs_training: ClassVar[bool] = False

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`."""
        if problem.row_groups is None or problem.query_groups is None:
            raise ConfigError(f"{self.name} needs labels; pass Problem(row_groups=..., query_groups=...)")
        same = problem.query_groups[:, None] == problem.row_groups[None, :]
        return np.asarray(same, dtype=np.float64)
