"""Gradient norm: rows that would move the subspace most come first, whatever the direction."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem, every_query
from imprint.attribution.methods.row_pass import row_pass
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientNorm:
    """The squared norm of each row's summed-loss gradient in the subspace; the same for every query.

    Cost: one forward-backward over the rows. Trust: not an estimate of influence on any query; it is what a gradient method
    falls back to when its direction says nothing.
    """

    name: ClassVar[str] = "gradient norm"
    needs_training: ClassVar[bool] = False
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows."""
        nothing = [torch.zeros(0, *problem.subspace.block_shape(block)) for block in problem.subspace.blocks]
        _, norms = row_pass(problem, nothing, norms=True, batch=self.batch, advance=advance)
        return every_query(problem, norms)
