"""Slopes: how fast every example's loss rises along given directions of the parameters."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from imprint.attribution.unrolled.parameters import measured
from imprint.attribution.unrolled.replay import Course

SLOPE_BATCH = 64


def slopes(
    course: Course,
    variables: Float[Tensor, "n"],
    directions: Sequence[Float[Tensor, "base"]],
    rows: Int[Tensor, "row"],
) -> Float[Tensor, "query row"]:
    """For each direction v of the model's parameters and each example of `rows`, grad L . v at `variables`.

    Under adapters the part of v that they can move counts.
    """
    leaf = variables.detach().requires_grad_(True)
    packed = course.base_layout.pack(course.params(leaf, course.base))
    moved = [torch.autograd.grad(packed, leaf, direction, retain_graph=True)[0] for direction in directions]
    batches = [rows[start : start + SLOPE_BATCH] for start in range(0, len(rows), SLOPE_BATCH)]
    return torch.cat([_of_batch(course, leaf, batch, moved) for batch in batches], dim=1)


def _of_batch(course: Course, leaf: Tensor, rows: Tensor, directions: Sequence[Tensor]) -> Float[Tensor, "query batch"]:
    """Jacobian times directions as the derivative in u of (u^T J) v: twice backwards, never one gradient per example."""
    params, objective, anchor = course.params(leaf, course.base), course.stage.objective, course.anchor[rows]
    losses = measured(course.model, params, lambda model: objective.losses(model, rows, anchor))
    factors = torch.ones_like(losses).requires_grad_(True)
    (pulled,) = torch.autograd.grad(losses, leaf, factors, create_graph=True)
    found = [torch.autograd.grad(pulled, factors, direction, retain_graph=True)[0] for direction in directions]
    return torch.stack(found)


def exposed_slopes(
    course: Course,
    variables: Float[Tensor, "n"],
    directions: Sequence[Float[Tensor, "base"]],
    exposure: Float[Tensor, "row"],
) -> Float[Tensor, "query row"]:
    """Exposure times slope of every example of the stage; examples with no exposure are not run."""
    found = variables.new_zeros(len(directions), course.stage.rows)
    rows = exposure.nonzero()[:, 0].cpu()
    if len(rows):
        found[:, rows] = exposure[rows].to(found) * slopes(course, variables, directions, rows)
    return found
