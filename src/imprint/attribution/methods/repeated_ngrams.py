"""Repeated n-gram rate: rows that repeat themselves come first."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem, every_query
from imprint.corpus import repeated_ngram_rate
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatedNgrams:
    """Share of a row's n-grams that occurred earlier in the same row; no model, the same for every query.

    Cost: one sort of the tokens. Trust: the surface statistic that induction data share with boilerplate; a method that does
    not beat it has found repetition and no more.
    """

    name: ClassVar[str] = "repeated n-grams"
    needs_training: ClassVar[bool] = False
    n: int = 2

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`."""
        rates = repeated_ngram_rate(problem.tokens[:, 1:].numpy(), problem.lengths.numpy(), self.n)
        return every_query(problem, rates)
