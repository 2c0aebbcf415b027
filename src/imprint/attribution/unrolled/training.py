"""`Training`: a recorded run as a differentiable function of the weights of its examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.queries import Query
from imprint.attribution.unrolled.adjoint import Tape, pull_back, record
from imprint.attribution.unrolled.objectives import NextToken
from imprint.attribution.unrolled.optimisers import Optimiser
from imprint.attribution.unrolled.parameters import Params, holding, measured, parameter_gradient, parameters_of
from imprint.attribution.unrolled.replay import Course, bind
from imprint.attribution.unrolled.stages import Stage
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress

Weights = Sequence[Float[Tensor, "_row"] | None]
"""One vector a stage: the weight of each of its examples; None is 1 for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The model's parameters after some updates of a stage."""

    stage: int
    step: int
    """Finished updates of this stage."""
    learning_rate: float
    """Of the last finished update (of the first, where there is none yet)."""
    params: Params


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A whole training run, of one stage or several, that can be repeated with other weights of its examples.

    With weights of 1 a stage makes the updates of `models.train`, to rounding. Attention is the plain kind and dropout is
    off throughout; a run that was recorded with dropout is another function.
    """

    model: PreTrainedModel
    """The architecture; its parameters are never written to."""
    initial: Params
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        """Refuse a run without stages or with parameters of another model."""
        if not self.stages:
            raise ConfigError("a training run needs at least one stage")
        names = {name for name, value in self.model.named_parameters() if value.requires_grad}
        if different := sorted(names ^ set(self.initial)):
            raise ConfigError(
                f"the initial parameters are not those that the model trains: they differ in '{different[0]}'"
            )

    def run(self, weights: Weights | None = None, *, advance: Advance = no_progress) -> Params:
        """The parameters after the last stage, retrained with these weights.

        Raises:
            SelfCheckFailed: a loss is not finite; the message names the stage and the update.
        """
        return self.run_from(0, self.initial, weights, advance=advance)

    def run_from(
        self, stage: int, start: Params, weights: Weights | None = None, *, advance: Advance = no_progress
    ) -> Params:
        """The parameters after the last stage if stage number `stage` (from 0) starts from `start`."""
        chosen, params = self._weights(weights), start
        for number in range(stage, len(self.stages)):
            params = _finished(bind(self.model, self.stages[number], params, chosen[number]), advance)
        return params

    def start_of(self, stage: int, weights: Weights | None = None) -> Params:
        """The parameters that stage number `stage` (from 0) starts from."""
        chosen, params = self._weights(weights), self.initial
        for number in range(stage):
            params = _finished(bind(self.model, self.stages[number], params, chosen[number]), no_progress)
        return params

    def checkpoints(
        self, steps: Sequence[int], *, stage: int = 0, weights: Weights | None = None
    ) -> Iterator[Checkpoint]:
        """The parameters after each of these numbers of updates of a stage (0 = before the first), in rising order.

        Raises:
            ConfigError: a number of updates that the stage does not reach.
        """
        recipe = self.stages[stage]
        if outside := [step for step in steps if not 0 <= step <= recipe.steps]:
            raise ConfigError(
                f"stage '{recipe.name}' makes {recipe.steps} updates, so it has no checkpoint {outside[0]}"
            )
        course = bind(self.model, recipe, self.start_of(stage, weights), self._weights(weights)[stage])
        for state in course.states(course.first(), max(steps, default=0)):
            if state.step in steps:
                rate = recipe.optimiser.rate(max(0, state.step - 1))
                params = course.assembled(state)
                yield Checkpoint(stage=stage, step=state.step, learning_rate=rate, params=params)

    def holding(self, params: Params) -> PreTrainedModel:
        """A copy of the model that holds `params`, in evaluation mode."""
        return holding(self.model, params)

    def values(self, params: Params, queries: Sequence[Query]) -> Float[Tensor, "query"]:
        """The queries of the model that holds `params`."""
        return torch.stack([measured(self.model, params, query.measure).detach() for query in queries])

    def metagradients(
        self,
        queries: Sequence[Query],
        weights: Weights | None = None,
        *,
        every: int | None = None,
        advance: Advance = no_progress,
    ) -> list[Float[Tensor, "query _row"]]:
        """For each stage the exact derivative of every query of the final model in the weight of every example.

        Positive = training on the example raises the query. `every` is the distance of checkpoints (by default the square
        root of a stage's updates, so that about 2 sqrt(updates) states are alive); it does not change the answer.
        `advance` hears of each update twice: once forwards, once backwards.
        Source: Engstrom et al. 2025 (REPLAY), Ilyas and Engstrom 2025 (MAGIC). Trust: exact as a derivative; as a prediction
        of leaving an example out it is as good as the run is smooth in the weights (`leave_one_out` tells).

        Raises:
            ConfigError: there is no query.
            SelfCheckFailed: the run diverges, or a query does not depend on the parameters.
        """
        if not queries:
            raise ConfigError("there is no query to attribute; give at least one")
        tapes, params = list[Tape](), self.initial
        for stage, weight in zip(self.stages, self._weights(weights), strict=True):
            tapes.append(record(bind(self.model, stage, params, weight), every=every, advance=advance))
            params = tapes[-1].course.assembled(tapes[-1].last)
        adjoints = [parameter_gradient(self.model, params, query.name, query.measure) for query in queries]
        found: list[Tensor] = []
        while tapes:
            pulled = pull_back(tapes.pop(), adjoints, advance=advance)
            adjoints = [base for base, _ in pulled]
            found.insert(0, torch.stack([weights for _, weights in pulled]))
        return found

    def _weights(self, weights: Weights | None) -> Weights:
        if weights is None:
            return [None] * len(self.stages)
        if len(weights) != len(self.stages):
            raise ConfigError(f"the run has {len(self.stages)} stages but weights for {len(weights)} were given")
        return weights


def _finished(course: Course, advance: Advance) -> Params:
    state = course.first()
    while state.step < course.stage.steps:
        state = course.following(state)
        advance(1)
    return course.assembled(state)


def language_model_training(
    model: PreTrainedModel,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    batches: Int[Tensor, "step batch"],
    optimiser: Optimiser,
    *,
    multipliers: Float[Tensor, "step batch"] | None = None,
) -> Training:
    """The run of one next-token stage that starts from the model's own parameters."""
    objective = NextToken(tokens=tokens, lengths=lengths)
    stage = Stage(name="pretrain", objective=objective, batches=batches, optimiser=optimiser, multipliers=multipliers)
    return Training(model=model, initial=parameters_of(model), stages=(stage,))
