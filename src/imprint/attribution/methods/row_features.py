"""Random features of gradients: each block projected from both sides, after an optional optimiser normalisation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine import Subspace, query_gradients, row_gradients
from imprint.attribution.methods.interface import Problem
from imprint.models import evaluating
from imprint.runs import derive
from imprint.types import Advance, no_progress

FLOOR = 1e-6
"""Added to every second moment, in units of the mean one: what keeps an unused parameter from being divided by 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """A random linear map of block gradients to one vector, which keeps inner products in expectation."""

    sides: tuple[tuple[Float64[Tensor, "_small _out"], Float64[Tensor, "_small _in"]], ...]
    """Per block the matrices that multiply a gradient from the left and, transposed, from the right."""

    def __call__(self, blocks: Sequence[Float[Tensor, "row _out _in"]]) -> Float64[Tensor, "row feature"]:
        """The features of each row's gradient."""
        pieces = [
            left.to(block.device) @ block.double() @ right.T.to(block.device)
            for (left, right), block in zip(self.sides, blocks, strict=True)
        ]
        return torch.cat([piece.flatten(1) for piece in pieces], dim=1).cpu()


def random_projection(subspace: Subspace, dimension: int | None, seed: int) -> Projection:
    """Signs +-1/sqrt(dimension) on each side of every block; a side no longer than `dimension` stays as it is."""
    generator = torch.Generator().manual_seed(derive(seed, "projection"))

    def side(size: int) -> Float64[Tensor, "small size"]:
        if dimension is None or size <= dimension:
            return torch.eye(size, dtype=torch.float64)
        signs = torch.randint(0, 2, (dimension, size), generator=generator) * 2 - 1
        return signs.double() / math.sqrt(dimension)

    shapes = [subspace.block_shape(block) for block in subspace.blocks]
    return Projection(sides=tuple((side(out), side(into)) for out, into in shapes))


def gradient_features(
    problem: Problem,
    model: PreTrainedModel,
    *,
    dimension: int | None,
    optimiser: bool,
    batch: int,
    draw: int = 0,
    advance: Advance = no_progress,
) -> tuple[Float64[Tensor, "row feature"], Float64[Tensor, "query feature"]]:
    """Features of every row's summed-loss gradient and of every query's gradient, at `model`.

    With `optimiser` every gradient is first divided by the root of its second moment over the rows, parameter by parameter:
    Adam's denominator if each row were a batch. `draw` numbers independent projections. `advance` counts rows, twice with
    `optimiser`.
    """
    subspace = problem.subspace.on(model)
    with evaluating(model):
        queries = query_gradients(model, subspace, problem.queries)
        scales = _scales(problem, model, subspace, batch, advance) if optimiser else None
        project = random_projection(subspace, dimension, derive(problem.seed, draw))
        rows = [project(_scaled(blocks, scales)) for blocks in _row_blocks(problem, model, subspace, batch, advance)]
    return torch.cat(rows), project(_scaled(queries, scales))


def _row_blocks(
    problem: Problem, model: PreTrainedModel, subspace: Subspace, batch: int, advance: Advance
) -> Iterator[list[Float[Tensor, "row _out _in"]]]:
    for start in range(0, len(problem.tokens), batch):
        tokens, lengths = problem.tokens[start : start + batch], problem.lengths[start : start + batch]
        yield row_gradients(model, subspace, tokens, lengths)
        advance(len(tokens))


def _scales(
    problem: Problem, model: PreTrainedModel, subspace: Subspace, batch: int, advance: Advance
) -> list[Float64[Tensor, "_out _in"]]:
    """The root of each parameter's mean squared row gradient, with its floor."""
    squares: list[Tensor] = []
    for blocks in _row_blocks(problem, model, subspace, batch, advance):
        sums = [block.double().square().sum(0) for block in blocks]
        squares = [one + other for one, other in zip(squares, sums, strict=True)] if squares else sums
    floor = FLOOR * torch.cat([square.flatten() for square in squares]).mean()
    return [((square + floor) / len(problem.tokens)).sqrt() for square in squares]


def _scaled(
    blocks: Sequence[Float[Tensor, "row _out _in"]], scales: Sequence[Float64[Tensor, "_out _in"]] | None
) -> list[Float[Tensor, "row _out _in"]]:
    return list(blocks) if scales is None else [block / scale for block, scale in zip(blocks, scales, strict=True)]
