"""Scores of training rows along given directions, and the losses and gradient norms that the same pass yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.subspace import Subspace
from imprint.models import loss_gradients
from imprint.types import Advance, no_progress


@dataclass(kw_only=True, slots=True)
class Pass:
    """What one pass over the rows collects besides influence, at no extra cost."""

    losses: list[Float[Tensor, "row"]] = field(default_factory=list)
    squared_norms: list[Float[Tensor, "row"]] = field(default_factory=list)
    scores: list[Float[Tensor, "query row seq"]] = field(default_factory=list)

    def row_losses(self) -> Float[Tensor, "row"]:
        """Mean loss per predicted token of each row, in nats."""
        return torch.cat(self.losses)

    def gradient_norms(self) -> Float[Tensor, "row"]:
        """Squared norm of each row's gradient in the subspace."""
        return torch.cat(self.squared_norms)


def score_rows(
    model: PreTrainedModel,
    subspace: Subspace,
    directions: Sequence[Sequence[Float[Tensor, "_out _in"]]],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    *,
    batch: int = 64,
    advance: Advance = no_progress,
) -> Pass:
    """For each direction v (one matrix per block) and row z the token scores - d_t^T v a_t, whose sum is - grad L(z) . v.

    One forward and a backward down to the lowest block per batch; no per-row gradient is formed for the scores.
    """
    result = Pass()
    for start in range(0, len(tokens), batch):
        chosen = slice(start, start + batch)
        gradients, losses = loss_gradients(model, subspace.modules, tokens[chosen], lengths[chosen])
        scores = torch.zeros(len(directions), *losses.shape, dtype=losses.dtype)
        norms = torch.zeros(len(losses), dtype=losses.dtype)
        for number, block in enumerate(subspace.blocks):
            inputs, deltas = block.inputs(gradients), block.deltas(gradients)
            for query, direction in enumerate(directions):
                scores[query] -= ((inputs @ direction[number].T) * deltas).sum(-1)
            norms += torch.einsum("bto,bti->boi", deltas, inputs).square().sum((1, 2))
        result.scores.append(scores)
        result.losses.append(losses.sum(1) / lengths[chosen].clamp(min=1))
        result.squared_norms.append(norms)
        advance(len(losses))
    return result
