"""Gradient dot product: influence with the identity in place of the inverse curvature."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem
from imprint.attribution.methods.row_pass import gradients_of_queries, row_pass
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientDot:
    """- grad L(z) . grad f, with L(z) the *summed* loss of the row: how far a small gradient step on z raises f.

    Unit: query units per unit of learning rate. Cost: one forward-backward over the rows and one per query; nothing is
    stored. Source: Charpiat et al. 2019 (TracIn at one checkpoint).
    Trust: no curvature, so it favours long rows and rows with large gradients; on a small language model its LDS was .26
    where EK-FAC had .49 (METHODS §3.2 and the attribution bench). Always the ablation beside a curved method.
    """

    name: ClassVar[str] = "gradient dot"
    needs_training: ClassVar[bool] = False
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows."""
        return row_pass(problem, gradients_of_queries(problem), norms=False, batch=self.batch, advance=advance)[0]
