"""Every retraining that judges the methods of the natural-text world: paid once, whatever is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods import fit_datamodels
from imprint.attribution.validation import (
    Dropped,
    Retrained,
    Subsets,
    half_subsets,
    retrain_without,
    small_drops,
)
from imprint.runs import Executor, Reporter, Store
from imprint.studies.attribution_world import NaturalWorld


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrainingPlan:
    """How often the world is retrained, and without how many rows."""

    subsets: int = 100
    """Of each setting."""
    dropped: int = 3
    """Rows of a small drop (about 1 %), and of a query's own top rows (QLD)."""
    seeds: int = 2
    """The run that is attributed, and others."""
    datamodel_runs: int = 150
    group_share: float = 0.1
    """Of all rows, the group whose removal is compared with the sum of its scores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Laboratory:
    """A world, its plan, and where retrainings are kept and computed."""

    world: NaturalWorld
    plan: RetrainingPlan
    store: Store
    executor: Executor
    reporter: Reporter

    def without(self, dropped: Sequence[Dropped], seeds: int, stage: str) -> Float64[np.ndarray, "seed set query"]:
        """The value of every query after training without each set of rows."""
        return retrain_without(
            self.world,
            dropped,
            range(seeds),
            self.store,
            self.executor,
            stage=f"natural text: retrain, {stage}",
            together=5,
            reporter=self.reporter,
        )

    def retrained(self, subsets: Subsets) -> Retrained:
        """The plan's seeds on every subset."""
        return Retrained(subsets=subsets, values=self.without(subsets.dropped, self.plan.seeds, subsets.setting))

    @property
    def small(self) -> Subsets:
        """All rows but a few."""
        return small_drops(self.world.text.row_count, self.plan.subsets, dropped=self.plan.dropped, seed=0)

    @property
    def half(self) -> Subsets:
        """Halves."""
        return half_subsets(self.world.text.row_count, self.plan.subsets, seed=0)

    def leave_one_out(self) -> tuple[Float64[np.ndarray, "query row"], Float64[np.ndarray, "query"]]:
        """The exact effect of every row by itself, and the values of the whole run."""
        rows = self.world.text.row_count
        found = self.without([(), *((row,) for row in range(rows))], 1, "leave one out")[0]
        return np.asarray((found[0][None] - found[1:]).T), np.asarray(found[0])

    def datamodels(self) -> Float64[np.ndarray, "query row"]:
        """Lasso weights from halves other than those that judge."""
        subsets = half_subsets(self.world.text.row_count, self.plan.datamodel_runs, seed=1)
        outcomes = self.without(subsets.dropped, 1, "halves for datamodels")[0]
        return fit_datamodels(subsets.kept.astype(np.float64), outcomes)[0]
