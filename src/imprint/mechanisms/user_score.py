"""Any function of the user as a mechanism: of attention patterns, or of the whole model, with the same table and null."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.mechanisms.head_table import HeadRows
from imprint.mechanisms.induction import Patterns
from imprint.models import attention_patterns

_AGREEMENT = 1e-4
PatternFunction = Callable[[Patterns, Int[Tensor, "row seq"]], Float[Tensor, "layer head"]]
"""The score of every head from its attention and the tokens, averaged over the rows given."""
ModelFunction = Callable[[PreTrainedModel], Float[Tensor, "layer head row"]]
"""The score of every head on every row (sequence, pair) from the model itself."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PatternScore:
    """A function of attention patterns and tokens as a `HeadMechanism`; `previous_token` and its like fit as they are.

    The function is called on one row at a time for the intervals, so it must average over rows.
    Its null keeps how sharp every head's attention is and shuffles where it goes: one permutation of the positions up to
    each query, the same for all heads and rows.

    Raises:
        ConfigError: the score of all rows is not the mean of the scores of each, or it has not one number a head.

    Trust: causal models only. Attention is not effect; a score that does not depend on where attention goes (an entropy)
    equals its null and is never significant, so judge it against `initial_maxima` by `ModelScore`.
    """

    name: str
    score: PatternFunction
    tokens: Int[Tensor, "row seq"]
    control: str = "attention to shuffled positions"

    def rows(self, model: PreTrainedModel) -> HeadRows:
        """The score of every head on every row."""
        patterns = self._patterns(model)
        rows = [self._score(patterns[:, row : row + 1], self.tokens[row : row + 1]) for row in range(len(self.tokens))]
        found = torch.stack(rows, dim=-1)
        together = self._score(patterns, self.tokens)
        if not torch.allclose(found.mean(-1), together, atol=_AGREEMENT, rtol=_AGREEMENT):
            raise ConfigError(
                f"The score '{self.name}' of all rows is not the mean of its rows' scores; average over rows in it."
            )
        return found

    def null(self, model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
        """The largest score of any head when the attention of each query is shuffled over the positions up to it."""
        patterns = self._patterns(model)
        generator = torch.Generator().manual_seed(seed)
        maxima = []
        for _ in range(draws):
            order = _causal_shuffle(patterns.shape[-1], generator).expand(patterns.shape)
            maxima.append(self._score(patterns.gather(-1, order), self.tokens).max())
        return torch.stack(maxima)

    def _patterns(self, model: PreTrainedModel) -> Patterns:
        return attention_patterns(model, self.tokens.to(model.device)).cpu()

    def _score(self, patterns: Patterns, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "layer head"]:
        found = self.score(patterns, tokens)
        wanted = (patterns.shape[0], patterns.shape[2])
        if tuple(found.shape) != wanted:
            raise ConfigError(
                f"The score '{self.name}' has shape {tuple(found.shape)}; return one number a head, shape {wanted}."
            )
        return found


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelScore:
    """A function of a whole model as a `HeadMechanism`; it has no null of its own, so `score_heads` needs `initial_maxima`.

    Trust: rows must be independent units (sequences, prompts), at least 2.
    """

    name: str
    score: ModelFunction
    control: str = "freshly initialised models"

    def rows(self, model: PreTrainedModel) -> HeadRows:
        """The score of every head on every row, as the function gives it."""
        return self.score(model)

    def null(self, model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
        """None: nothing is known of what a wrong target would be."""
        return torch.zeros(0, dtype=torch.float64)


def _causal_shuffle(seq: int, generator: torch.Generator) -> Int[Tensor, "seq seq"]:
    """For each query t, a random order of the positions 0 to t; later ones, which no causal head reads, follow."""
    keys = torch.rand(seq, seq, generator=generator)
    return keys.masked_fill(torch.ones(seq, seq, dtype=torch.bool).triu(1), 2.0).argsort(dim=-1)
