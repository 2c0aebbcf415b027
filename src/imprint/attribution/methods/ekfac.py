"""EK-FAC influence through the engine: the inverse Fisher of the subspace in Kronecker blocks."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64

from imprint.attribution.engine import EkfacOptions, fit_factors, precondition
from imprint.attribution.engine.ekfac import at_precision
from imprint.attribution.methods.interface import Problem
from imprint.attribution.methods.row_pass import gradients_of_queries, row_pass
from imprint.models import evaluating
from imprint.runs import derive
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Ekfac:
    """- grad L(z)^T (F + damping)^-1 grad f with F the block-diagonal Fisher of the subspace, the rest of the model frozen.

    Unit: divided by the number of rows, the first-order effect on f of adding one more copy of the row. Cost: one
    forward-backward over the rows that the factors are fitted on, one over all rows, one a query.
    Source: Grosse et al. 2023; George et al. 2018. The factors are not checked here; `influence` runs every self-check.
    Trust: blocks and positions are taken as independent, and the model as trained to a minimum; the damping decides the
    scores of near-flat directions, so sweep it. Removal of a group moves f by more than the sum of the scores (AT-IF-3).
    """

    name: ClassVar[str] = "EK-FAC"
    needs_training: ClassVar[bool] = False
    options: EkfacOptions = field(default_factory=EkfacOptions)
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows, those that the factors are fitted on first."""
        seed = derive(problem.seed, "labels")
        order = torch.randperm(len(problem.tokens), generator=torch.Generator().manual_seed(seed))
        fitted = order[: self.options.max_rows].sort().values
        tokens, lengths = problem.tokens[fitted], problem.lengths[fitted]
        gradients = gradients_of_queries(problem)
        with evaluating(problem.model):
            model = at_precision(problem.model, self.options)
            there = replace(problem, model=model, subspace=problem.subspace.on(model))
            factors = fit_factors(model, there.subspace, tokens, lengths, self.options, seed=seed, advance=advance)
        return row_pass(there, precondition(factors, gradients), norms=False, batch=self.batch, advance=advance)[0]
