"""Embedding similarity: rows whose tokens have input embeddings like those of the query's text come first."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem, query_texts
from imprint.attribution.methods.mean_cosine import mean_cosines
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingSimilarity:
    """Cosine of the mean input embedding of a row's tokens with that of the query's texts, minus the mean over rows.

    Cost: a table lookup a token; no forward pass. Trust: a bag of words in the model's own vocabulary geometry: blind to order,
    and not influence. For a sentence encoder pass your own vectors to `mean_cosines`.
    """

    name: ClassVar[str] = "embedding similarity"
    needs_training: ClassVar[bool] = False
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows."""
        texts = [(tokens[:, 1:], lengths) for tokens, lengths in query_texts(problem, self.name)]
        table = problem.model.get_input_embeddings()
        return mean_cosines(
            lambda tokens: table(tokens.to(problem.model.device)),
            problem.tokens[:, 1:],
            problem.lengths,
            texts,
            batch=self.batch,
            advance=advance,
        )
