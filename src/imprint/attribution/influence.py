"""Influence of training rows on a subspace: - grad L(z)^T H^-1 grad f, for many queries in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.checks import run_checks
from imprint.attribution.ekfac import BlockFactors, EkfacOptions, fit_factors, precondition
from imprint.attribution.queries import Query, query_gradient
from imprint.attribution.scores import Scores
from imprint.attribution.subspace import Subspace
from imprint.models import evaluating, loss_gradients
from imprint.types import Advance, no_progress

PLAIN = "dot"
"""Name suffix of the same query without curvature (the identity in place of the inverse Fisher)."""


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
    directions: Sequence[Sequence[Float[Tensor, "out in"]]],
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


def influence(
    model: PreTrainedModel,
    subspace: Subspace,
    queries: Sequence[Query],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
    batch: int = 64,
    advance: Advance = no_progress,
) -> tuple[Scores, Pass]:
    """EK-FAC influence of every row and token on every query, each also without curvature (`<query>/dot`).

    Positive = training on the row raises the query. The loss of a row is the *sum* over its tokens, so long rows weigh
    more; `per_token` gives the normalised ranking. The self-checks run first and raise when they fail.
    Source: Mechanistic Data Attribution, with the probe at the right position (METHODS §1.4 lists the published defects).
    Trust: reliable inside the transition, when the mechanism is forming; before it, loss or gradient norm ranks as well.
    """
    with evaluating(model):
        fitted = _fit_rows(len(tokens), options.max_rows, seed)
        factors = fit_factors(model, subspace, tokens[fitted], lengths[fitted], options, seed=seed, advance=advance)
        gradients = [query_gradient(model, subspace, query) for query in queries]
        checks = run_checks(model, subspace, queries, gradients, tokens[fitted], lengths[fitted], options, seed=seed)
        directions = [*(precondition(factors, gradient) for gradient in gradients), *gradients]
        collected = score_rows(model, subspace, directions, tokens, lengths, batch=batch, advance=advance)
    whole = torch.cat(collected.scores, dim=1)
    names = [query.name for query in queries]
    scores = Scores(
        queries=(*names, *(f"{name}/{PLAIN}" for name in names)),
        rows=whole.double().sum(-1).numpy(),
        tokens=whole[: len(queries)].float().numpy(),
        subspace=subspace.name,
        checks=checks,
    )
    return scores, collected


def _fit_rows(rows: int, most: int, seed: int) -> Int[Tensor, "fitted"]:
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return order[:most].sort().values


__all__ = ["PLAIN", "BlockFactors", "Pass", "influence", "score_rows"]
