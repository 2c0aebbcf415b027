"""SOURCE: the recorded run unrolled in segments of constant curvature."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.engine import EkfacOptions
from imprint.attribution.methods.interface import Problem, recorded
from imprint.attribution.methods.row_pass import finite
from imprint.attribution.unrolled import source_scores
from imprint.runs import derive
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The derivative of f by a row's weight, through the subspace only, each segment of the run with one EK-FAC curvature.

    Unit: query units per unit of the row's weight, as the metagradient that it approximates. Cost: the run once, and per segment
    one EK-FAC fit and one backward over the rows a query. Later stages are carried through, so it answers across stages where
    EK-FAC and TracIn do not. Source: Bae et al. 2024.
    Trust: curvature constant within a segment, blocks independent, batches average, AdamW as a fixed diagonal response; where
    the run is small enough, the metagradient is the same question answered exactly.
    """

    name: ClassVar[str] = "SOURCE"
    needs_training: ClassVar[bool] = True
    segments: int = 3
    """Stretches that every stage is cut into."""
    options: EkfacOptions = field(default_factory=EkfacOptions)

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts segments."""
        scores = source_scores(
            recorded(problem, self.name),
            problem.queries,
            problem.subspace,
            segments=self.segments,
            options=self.options,
            seed=derive(problem.seed, "labels"),
            advance=advance,
        )
        return finite(scores[problem.stage].double().cpu().numpy())
