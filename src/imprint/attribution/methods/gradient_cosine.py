"""Gradient cosine: the gradient dot product with every row's gradient, and the query's, scaled to length one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem
from imprint.attribution.methods.row_pass import gradients_of_queries, row_pass
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientCosine:
    """cos(- grad L(z), grad f) over the whole subspace, in [-1, 1]: does the row push where the query wants to go.

    A row without a gradient scores 0. Cost: as the gradient dot, plus each row's gradient norm (a per-row matrix per block,
    one batch at a time). Source: Barshan et al. 2020 (relative influence); LESS.
    Trust: free of the bias for long and loud rows, and for the same reason blind to how much a row moves the model at all;
    no curvature.
    """

    name: ClassVar[str] = "gradient cosine"
    needs_training: ClassVar[bool] = False
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows."""
        directions = gradients_of_queries(problem)
        dots, norms = row_pass(problem, directions, norms=True, batch=self.batch, advance=advance)
        squares = sum(stack.double().square().sum((1, 2)).cpu().numpy() for stack in directions)
        lengths = np.sqrt(np.outer(squares, norms))
        return np.asarray(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0))
