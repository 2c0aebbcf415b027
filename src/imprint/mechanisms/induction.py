"""Attention scores of induction and previous-token heads, and their nulls."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from imprint.capabilities import RepeatProbe

Patterns = Float[Tensor, "layer row head seq seq"]


def prefix_matching(patterns: Patterns, probe: RepeatProbe) -> Float[Tensor, "layer head"]:
    """Mean attention from each token of the second copy to the token after its previous occurrence (strict offset).

    Attention mass in [0, 1]; 1 for a perfect head with a BOS. Chance is not 0: see `uniform_baseline`.
    Trust: measure at two periods; a head that attends a fixed distance back scores 1 at one of them only. A head that
    shares its job scores low while the model copies well: read it beside copy accuracy and ablation.
    """
    return patterns[..., probe.query, probe.match].mean(-1).mean(1)


def prefix_matching_any(patterns: Patterns, tokens: Int[Tensor, "row seq"], first: int) -> Float[Tensor, "layer head"]:
    """Mean over positions from `first` of the attention mass on *every* position whose predecessor is the same token.

    Olsson et al.'s score; differs from the strict one when tokens repeat within a segment.
    """
    same = tokens[:, :, None] == torch.nn.functional.pad(tokens, (1, 0), value=-1)[:, None, :-1]
    earlier = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    mass = (patterns * (same & earlier)[None, :, None]).sum(-1)
    return mass[..., first:-1].mean(-1).mean(1)


def previous_token(patterns: Patterns) -> Float[Tensor, "layer head"]:
    """Mean attention from each position (from the second real token on) to the one before it, in [0, 1]."""
    positions = torch.arange(2, patterns.shape[-1])
    return patterns[..., positions, positions - 1].mean(-1).mean(1)


def offset_profile(
    patterns: Patterns, probe: RepeatProbe, offsets: Sequence[int] = (-2, -1, 0, 1, 2, 3)
) -> Float[Tensor, "offset layer head"]:
    """Mean attention to `offset` positions after the previous occurrence; a copying head may sit at +2 instead of +1 (P10)."""
    occurrence = probe.query - probe.period
    rows = []
    for offset in offsets:
        inside = (occurrence + offset >= 0) & (occurrence + offset < probe.query)
        queries, keys = probe.query[inside], (occurrence + offset)[inside]
        rows.append(patterns[..., queries, keys].mean(-1).mean(1))
    return torch.stack(rows)


def uniform_baseline(positions: Int[Tensor, "query"]) -> float:
    """What a head with uniform attention scores at these positions: the mean of 1 / (t + 1)."""
    return float((1.0 / (positions + 1)).mean())


def wrong_target_null(
    patterns: Patterns, queries: Int[Tensor, "query"], *, draws: int, seed: int
) -> Float[Tensor, "draw"]:
    """The largest score over all heads when each query's target is a random earlier position: the null of a maximum.

    A random-weights or positional head scores like this; one draw permutes the targets of every query at once.
    """
    generator = torch.Generator().manual_seed(seed)
    averaged = patterns.mean(1)
    maxima = []
    for _ in range(draws):
        targets = (torch.rand(len(queries), generator=generator) * queries).long()
        maxima.append(averaged[..., queries, targets].mean(-1).max())
    return torch.stack(maxima)


def exceedance(score: float, null: Float[Tensor, "draw"]) -> float:
    """The p-value (b + 1) / (m + 1) of a score against draws of its null."""
    return (int((null >= score).sum()) + 1) / (len(null) + 1)
