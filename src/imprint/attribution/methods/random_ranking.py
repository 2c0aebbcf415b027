"""Random: the ranking that no method may fall below."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem
from imprint.runs import derive
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomRanking:
    """Independent uniform scores in [0, 1), drawn from the problem's seed, for every query its own.

    Cost: none. Trust: its spread over seeds is the null of every comparison.
    """

    name: ClassVar[str] = "random"
    needs_training: ClassVar[bool] = False

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`."""
        generator = np.random.default_rng(derive(problem.seed, "random ranking"))
        return generator.random((len(problem.queries), len(problem.tokens)))
