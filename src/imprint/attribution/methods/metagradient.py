"""Metagradients: the exact derivative of the query by each row's weight, backwards through the recorded run."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem, recorded
from imprint.attribution.methods.row_pass import finite
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Metagradient:
    """d f(trained parameters) / d w of each row's weight w at w = 1, in query units; later stages are differentiated too.

    Exact, every optimiser step included. Cost: about one training run forwards and two to three backwards a query (the run is
    replayed from checkpoints). Source: MAGIC (Ilyas and Engstrom 2025).
    Trust: the truth for infinitesimal changes of this very run; where training is not smooth (large learning rates, clipping),
    removing a row for good may do something else: compare with leave-one-out on a few rows.
    """

    name: ClassVar[str] = "metagradient"
    needs_training: ClassVar[bool] = True

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts updates, each twice."""
        gradients = recorded(problem, self.name).metagradients(problem.queries, advance=advance)[problem.stage]
        return finite(gradients.double().cpu().numpy())
