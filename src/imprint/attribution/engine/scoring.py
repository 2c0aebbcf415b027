"""Scores of training rows along given directions, and the losses and gradient norms that the same pass yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.contractions import row_products, squared_norms, token_products
from imprint.attribution.engine.moments import Sides
from imprint.attribution.engine.subspace import Subspace
from imprint.models import loss_gradients
from imprint.types import Advance, no_progress


@dataclass(kw_only=True, slots=True)
class Pass:
    """What one pass over the rows collects: influence, and at little cost losses and gradient norms."""

    losses: list[Float[Tensor, "row"]] = field(default_factory=list)
    squared_norms: list[Float[Tensor, "row"]] = field(default_factory=list)
    scores: list[Float[Tensor, "query row seq"]] = field(default_factory=list)
    """By token, where they were asked for."""
    rows: list[Float[Tensor, "query group row"]] = field(default_factory=list)
    """By row, split by the subspace's groups, where token scores were not asked for."""

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

    One forward and a backward down to the lowest block per batch; no per-row gradient is formed.
    """
    stacked = [torch.stack([direction[n] for direction in directions]) for n in range(len(subspace.blocks))]
    return score_pass(
        model, subspace, stacked, tokens, lengths, by_token=True, norms=True, batch=batch, advance=advance
    )


def score_pass(
    model: PreTrainedModel,
    subspace: Subspace,
    directions: Sequence[Float[Tensor, "query _out _in"]],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    *,
    by_token: bool,
    norms: bool,
    batch: int = 64,
    advance: Advance = no_progress,
) -> Pass:
    """The same for stacked directions (one stack of queries a block); by row and group where tokens are not needed.

    By token, no gradient of a row is formed; by row, each is formed once, a block at a time, for all queries.
    """
    result = Pass()
    groups = {name: place for place, name in enumerate(subspace.groups)}
    cast = [stack.to(model.device, model.dtype) for stack in directions]
    lengths = lengths.cpu()
    for start in range(0, len(tokens), batch):
        chosen = slice(start, start + batch)
        gradients, losses = loss_gradients(model, subspace.modules, tokens[chosen], lengths[chosen])
        sides = Sides(gradients, lengths[chosen])
        wide = torch.float64 if losses.dtype == torch.float64 else torch.float32
        count = len(cast[0])
        shape = (count, *losses.shape) if by_token else (count, len(groups), len(losses))
        scores = torch.zeros(shape, dtype=wide, device=losses.device)
        squares = torch.zeros(len(losses), dtype=wide, device=losses.device)
        for block, stack in zip(subspace.blocks, cast, strict=True):
            inputs, deltas = sides.inputs(block), sides.deltas(block)
            if by_token:
                scores -= token_products(inputs, deltas, stack)
            else:
                scores[:, groups[block.group or block.name]] -= row_products(inputs, deltas, stack)
            if norms:
                squares += squared_norms(inputs, deltas)
        (result.scores if by_token else result.rows).append(scores.cpu())
        result.losses.append((losses.sum(1, dtype=wide).cpu() / lengths[chosen].clamp(min=1)).to(wide))
        result.squared_norms.append(squares.cpu())
        advance(len(losses))
    return result
