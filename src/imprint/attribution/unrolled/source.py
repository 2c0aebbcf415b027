"""SOURCE: unrolling in segments, each with one stationary curvature, so that no update is differentiated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions, fit_factors
from imprint.attribution.engine.queries import Query
from imprint.attribution.engine.subspace import Subspace
from imprint.attribution.unrolled.adapters import Full
from imprint.attribution.unrolled.blocks import matrices_of, vector_of
from imprint.attribution.unrolled.objectives import NextToken
from imprint.attribution.unrolled.parameters import Params, parameter_gradient
from imprint.attribution.unrolled.replay import Course, State, bind
from imprint.attribution.unrolled.slopes import exposed_slopes
from imprint.attribution.unrolled.stages import Stage
from imprint.attribution.unrolled.training import Training
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress

Curvature = Callable[[PreTrainedModel, Stage], Sequence[BlockFactors]]
"""Factors of the mean over a stage's examples of the Hessian of their (summed) loss, one per block, at a checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    """A stretch of updates of one stage, seen from the checkpoint in its middle."""

    stage: int
    course: Course
    variables: Float[Tensor, "n"]
    exposure: Float[Tensor, "row"]
    rate: float
    """Sum of the learning rates of its updates."""
    response: Float[Tensor, "n"]
    decay: float


def source_scores(
    training: Training,
    queries: Sequence[Query],
    subspace: Subspace,
    *,
    segments: int = 3,
    curvature: Curvature | None = None,
    options: EkfacOptions | None = None,
    seed: int = 0,
    advance: Advance = no_progress,
) -> list[Float[Tensor, "query _row"]]:
    """For each stage the approximate derivative of every query in the weight of every example, through `subspace` only.

    Positive = training on the example raises the query. Every stage is cut into `segments` equal stretches. In one with
    total rate R, curvature H (EK-FAC at its middle checkpoint, per unit of batch size) and optimiser response P, an
    example adds - exposure x grad L . P^1/2 f(R H') P^1/2 v with f(x) = (1 - exp(-x)) / x and H' = P^1/2 H P^1/2, and the
    query's gradient v is carried to the segment before by exp(-R H').
    Source: Bae et al. 2024, equations 10-15. P is 1 / (1 - momentum) for SGD; for AdamW the frozen second moments, with H'
    taken in H's eigenbasis and scaled so that its trace is kept.
    Trust: curvature constant within a segment, blocks independent, batches average; compare with `Training.metagradients`.

    Raises:
        ConfigError: no query, no segment, a stage that trains adapters, or one without an EK-FAC (preferences, prompts)
            while no `curvature` is given.
    """
    if not queries or segments < 1:
        raise ConfigError("SOURCE needs at least one query and one segment a stage")
    fit = curvature or ekfac_curvature(subspace, options or EkfacOptions(), seed)
    stretches, params = _stretches(training, segments)
    layout = stretches[-1].course.base_layout
    gradients = [parameter_gradient(training.model, params, query.name, query.measure) for query in queries]
    carried = [matrices_of(subspace, layout.unpack(gradient)) for gradient in gradients]
    found = [gradients[0].new_zeros(len(queries), stage.rows) for stage in training.stages]
    for segment in reversed(stretches):
        model = training.holding(segment.course.params(segment.variables, segment.course.base))
        factors = fit(model, segment.course.stage)
        settled, carried = _filtered(segment, subspace, factors, carried)
        directions = [vector_of(subspace, layout, matrices) for matrices in settled]
        found[segment.stage] -= exposed_slopes(segment.course, segment.variables, directions, segment.exposure)
        advance(1)
    return found


def ekfac_curvature(subspace: Subspace, options: EkfacOptions, seed: int) -> Curvature:
    """EK-FAC on (at most `options.max_rows` of) a next-token stage's examples."""

    def fit(model: PreTrainedModel, stage: Stage) -> Sequence[BlockFactors]:
        objective = stage.objective
        if not isinstance(objective, NextToken) or objective.prompts is not None:
            raise ConfigError(f"no EK-FAC is known for the loss of stage '{stage.name}'; pass `curvature` for it")
        rows = torch.randperm(stage.rows, generator=torch.Generator().manual_seed(seed))[: options.max_rows]
        tokens, lengths = objective.tokens[rows], objective.lengths[rows]
        return fit_factors(model, subspace.on(model), tokens, lengths, options, seed=seed)

    return fit


def _stretches(training: Training, segments: int) -> tuple[list[_Segment], Params]:
    """Run the training once and keep what each segment's middle shows; also the final parameters."""
    params, found = training.initial, []
    for number, stage in enumerate(training.stages):
        if not isinstance(stage.trained, Full):
            raise ConfigError(f"stage '{stage.name}' trains adapters, for which SOURCE is not defined")
        edges = [round(stage.steps * part / segments) for part in range(segments + 1)]
        middles = {-(-(start + stop) // 2): (start, stop) for start, stop in pairwise(edges) if stop > start}
        course = bind(training.model, stage, params, None)
        for state in course.states(course.first(), stage.steps):
            if state.step in middles:
                found.append(_segment(number, course, state, *middles[state.step]))
        params = course.assembled(state)
    return found, params


def _segment(number: int, course: Course, state: State, start: int, stop: int) -> _Segment:
    stage = course.stage
    gradient = course.gradient(state.variables, min(state.step, stage.steps - 1))
    response, decay = stage.optimiser.response(state.moments, gradient, state.step)
    return _Segment(
        stage=number,
        course=course,
        variables=state.variables,
        exposure=stage.exposure(start, stop).to(response),
        rate=sum(stage.optimiser.rate(step) for step in range(start, stop)),
        response=response,
        decay=decay,
    )


def _filtered(
    segment: _Segment, subspace: Subspace, factors: Sequence[BlockFactors], carried: list[list[Tensor]]
) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Each query's direction for the segment's examples, and its gradient before the segment."""
    size = float(segment.course.sizes.mean())
    responses = matrices_of(subspace, segment.course.layout.unpack(segment.response))
    exponents = [
        segment.rate * (_mean_response(response) * block.eigenvalues / size + segment.decay)
        for block, response in zip(factors, responses, strict=True)
    ]
    settled, before = [], []
    for matrices in carried:
        pieces = list(zip(factors, exponents, responses, matrices, strict=True))
        settled.append([_through(block, _settling(x), p.sqrt(), p.sqrt(), v) for block, x, p, v in pieces])
        before.append([_carried(block, (-x).exp(), p.sqrt(), v) for block, x, p, v in pieces])
    return settled, before


def _mean_response(response: Float[Tensor, "out in"]) -> Float[Tensor, ""]:
    """The one number that keeps the trace of P^1/2 H P^1/2, with H's diagonal taken as proportional to 1 / P^2."""
    moving = response[response > 0]
    if not len(moving):
        return response.new_zeros(())
    inverse = moving.min() / moving
    return moving.min() * inverse.sum() / inverse.square().sum()


def _settling(exponent: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
    """(1 - exp(-x)) / x, which is 1 at 0."""
    safe = torch.where(exponent.abs() > 1e-12, exponent, 1.0)
    return torch.where(exponent.abs() > 1e-12, -torch.expm1(-safe) / safe, 1.0)


def _carried(block: BlockFactors, gains: Tensor, root: Tensor, gradient: Tensor) -> Tensor:
    """P^-1/2 gains P^1/2 times the gradient; parameters that do not move keep theirs."""
    moving = root > 0
    inverse = torch.where(moving, 1 / torch.where(moving, root, 1.0), 0.0)
    return torch.where(moving, _through(block, gains, root, inverse, gradient), gradient)


def _through(block: BlockFactors, gains: Tensor, first: Tensor, last: Tensor, gradient: Tensor) -> Tensor:
    """`last` x Q gains(Q^T (first x gradient)), in the block's eigenbasis Q."""
    left, right = block.output_basis.to(gradient), block.input_basis
    rotated = left.T @ (first * gradient)
    if right is None:
        return last * (left @ (gains * rotated))
    right = right.to(gradient)
    return last * (left @ (gains * (rotated @ right)) @ right.T)
