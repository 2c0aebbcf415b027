"""TracIn-CP: gradient dot products at the recorded checkpoints, weighted by their learning rates."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.checkpoints import checkpoint_models
from imprint.attribution.methods.gradient_dot import GradientDot
from imprint.attribution.methods.interface import Problem
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class TracInCP:
    """Sum over checkpoints c of lr_c x (- grad L_c(z) . grad f_c): the first-order trace of training on z.

    Unit: query units, if every visit of a row were a step of plain gradient descent on its summed loss. Cost: one gradient-dot
    run a checkpoint, and the run itself where checkpoints are not kept. Source: Pruthi et al. 2020, equation 3.
    Trust: complete only as the learning rate goes to 0 with every step a checkpoint (METHODS AT-IF-4: .14 % off at 1e-4, 28 % at
    1e-2); it takes AdamW for gradient descent, and it answers about its own stage only: what a later stage does to the effect
    of an earlier one is left out (identity transport, AT-IF-7), which `unrolled` answers exactly.
    """

    name: ClassVar[str] = "TracIn-CP"
    needs_training: ClassVar[bool] = True
    checkpoints: int = 6
    """How many, evenly spaced over the stage and ending with its last update."""
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows, once a checkpoint."""
        plain = GradientDot(batch=self.batch)
        total = np.zeros((len(problem.queries), len(problem.tokens)))
        for rate, model in checkpoint_models(problem, self.name, self.checkpoints):
            there = replace(problem, model=model, subspace=problem.subspace.on(model))
            total += rate * plain.scores(there, advance=advance)
        return total
