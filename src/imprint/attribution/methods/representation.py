"""Representation similarity: rows whose mean last hidden state looks like the query's come first."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.methods.interface import Problem, query_texts
from imprint.attribution.methods.mean_cosine import Vectors, mean_cosines
from imprint.models import evaluating
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class RepresentationSimilarity:
    """Cosine of the mean last hidden state of a row with that of the query's texts, minus the mean over rows.

    Cost: one forward over the rows, without the unembedding. Source: RepSim (Li et al. 2024, 2409.19998).
    Trust: similarity of what the model makes of two texts, not influence: it can never be negative evidence (a row that
    harms the query may look exactly like it).
    """

    name: ClassVar[str] = "representation similarity"
    needs_training: ClassVar[bool] = False
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows."""
        states = last_states(problem.model)
        texts = [(tokens[:, :-1], lengths) for tokens, lengths in query_texts(problem, self.name)]
        with evaluating(problem.model):
            return mean_cosines(
                states, problem.tokens[:, :-1], problem.lengths, texts, batch=self.batch, advance=advance
            )


def last_states(model: PreTrainedModel) -> Vectors:
    """The last hidden states from token ids."""

    def states(tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "row seq feature"]:
        hidden: Tensor = model.base_model(input_ids=tokens.to(model.device), use_cache=False).last_hidden_state
        return hidden

    return states
