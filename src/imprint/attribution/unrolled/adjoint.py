"""Backwards through a stage: each update's transposed Jacobian, with states rebuilt from sparse checkpoints."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.attribution.unrolled.replay import Course, State, anchors
from imprint.types import Advance, no_progress


@dataclass(kw_only=True, slots=True)
class Adjoint:
    """The derivative of one query with respect to everything that a stage carries, accumulated backwards."""

    variables: Float[Tensor, "n"]
    moments: tuple[Float[Tensor, "n"], ...]
    base: Float[Tensor, "base"]
    anchor: Float[Tensor, "row k"]
    weights: Float[Tensor, "row"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tape:
    """A stage that has run: its checkpoints (before updates 0, every, 2 every, ...) and its last state."""

    course: Course
    every: int
    checkpoints: list[State]
    last: State


def record(course: Course, *, every: int | None = None, advance: Advance = no_progress) -> Tape:
    """Run a stage and keep a checkpoint every `every` updates (by default the square root of their number)."""
    every = every or max(1, math.isqrt(course.stage.steps))
    checkpoints, state = [], course.first()
    while state.step < course.stage.steps:
        if state.step % every == 0:
            checkpoints.append(state)
        state = course.following(state)
        advance(1)
    return Tape(course=course, every=every, checkpoints=checkpoints, last=state)


def pull_back(
    tape: Tape, final: Sequence[Float[Tensor, "base"]], *, advance: Advance = no_progress
) -> list[tuple[Float[Tensor, "base"], Float[Tensor, "row"]]]:
    """For each query, from df/d(parameters after the stage): df/d(parameters before it) and df/d(example weights).

    Uses up the tape's checkpoints.
    """
    adjoints = _at_the_end(tape, final)
    for state in _backwards(tape):
        _through_update(tape.course, state, adjoints)
        advance(1)
    return [(_at_the_start(tape.course, adjoint), adjoint.weights) for adjoint in adjoints]


def _backwards(tape: Tape) -> Iterator[State]:
    """All states but the last, latest first; at most the checkpoints and one stretch between two are alive at once."""
    until = tape.course.stage.steps
    while tape.checkpoints:
        start = tape.checkpoints.pop()
        stretch = list(tape.course.states(start, until - 1))
        until = start.step
        del start
        while stretch:
            yield stretch.pop()


def _at_the_end(tape: Tape, final: Sequence[Tensor]) -> list[Adjoint]:
    course = tape.course
    variables = tape.last.variables.detach().requires_grad_(True)
    base = course.base.detach().requires_grad_(True)
    params = course.base_layout.pack(course.params(variables, base))
    adjoints = []
    for direction in final:
        pulled = _grad(params, [variables, base], direction)
        adjoints.append(
            Adjoint(
                variables=pulled[0],
                moments=tuple(torch.zeros_like(moment) for moment in tape.last.moments),
                base=pulled[1],
                anchor=torch.zeros_like(course.anchor),
                weights=torch.zeros_like(course.weights),
            )
        )
    return adjoints


def _through_update(course: Course, state: State, adjoints: Sequence[Adjoint]) -> None:
    """Move every adjoint from after the update to before it."""
    rows = course.stage.batches[state.step]
    variables, base = state.variables.detach().requires_grad_(True), course.base.detach()
    anchor = course.anchor[rows].requires_grad_(True)
    weights = course.weights[rows].requires_grad_(True)
    inputs = [variables, anchor, weights]
    if course.stage.trained.reads_base:
        inputs.append(base.requires_grad_(True))
    loss = course.batch_loss(state.step, variables, base, anchor, weights)
    (gradient,) = torch.autograd.grad(loss, variables, create_graph=True)
    leaves = [piece.detach().requires_grad_(True) for piece in (state.variables, gradient, *state.moments)]
    with torch.enable_grad():
        updated = course.stage.optimiser.update(leaves[0], tuple(leaves[2:]), leaves[1], state.step)
    for adjoint in adjoints:
        direct = _grad([updated[0], *updated[1]], leaves, [adjoint.variables, *adjoint.moments])
        through = _grad(gradient, inputs, direct[1])
        adjoint.variables = direct[0] + through[0]
        adjoint.moments = tuple(direct[2:])
        adjoint.anchor.index_add_(0, rows.to(anchor.device), through[1])
        adjoint.weights.index_add_(0, rows.to(anchor.device), through[2])
        if course.stage.trained.reads_base:
            adjoint.base += through[3]


def _at_the_start(course: Course, adjoint: Adjoint) -> Float[Tensor, "base"]:
    """Through the start of the variables and through what the examples remember, to the parameters before the stage."""
    base = course.base.detach().requires_grad_(True)
    start = course.layout.pack(course.stage.trained.start(course.base_layout.unpack(base)))
    found = adjoint.base + _grad(start, [base], adjoint.variables)[0]
    if course.anchor.shape[1]:
        for rows, remembered in anchors(course.model, course.stage, course.base_layout.unpack(base)):
            found = found + _grad(remembered, [base], adjoint.anchor[rows])[0]
    return found


def _grad(
    outputs: Tensor | Sequence[Tensor], inputs: Sequence[Tensor], directions: Tensor | Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Transposed Jacobian times directions; zero where nothing depends, and the graph is kept for the next query."""
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    directions = [directions] if isinstance(directions, Tensor) else list(directions)
    kept = [(output, direction) for output, direction in zip(outputs, directions, strict=True) if output.requires_grad]
    if not kept:
        return tuple(torch.zeros_like(piece) for piece in inputs)
    return torch.autograd.grad(
        [output for output, _ in kept],
        inputs,
        [direction for _, direction in kept],
        retain_graph=True,
        materialize_grads=True,
    )
