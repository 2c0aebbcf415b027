"""One stage, bound to a model and to the parameters that it starts from: its updates, forwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.unrolled.optimisers import Moments
from imprint.attribution.unrolled.parameters import Layout, Params, measured
from imprint.attribution.unrolled.stages import Stage
from imprint.errors import ConfigError, SelfCheckFailed

ANCHOR_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What one update leaves to the next."""

    step: int
    variables: Float[Tensor, "n"]
    moments: Moments


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """A stage with everything that stays fixed while it runs."""

    model: PreTrainedModel
    stage: Stage
    base: Float[Tensor, "base"]
    base_layout: Layout
    layout: Layout
    anchor: Float[Tensor, "row k"]
    weights: Float[Tensor, "row"]
    sizes: Float[Tensor, "row"]

    def first(self) -> State:
        """The state before the first update."""
        variables = self.layout.pack(self.stage.trained.start(self.base_layout.unpack(self.base)))
        return State(step=0, variables=variables, moments=self.stage.optimiser.initial(variables))

    def params(self, variables: Float[Tensor, "n"], base: Float[Tensor, "base"]) -> Params:
        """The model's parameters at some value of the stage's variables."""
        return self.stage.trained.assemble(self.base_layout.unpack(base), self.layout.unpack(variables))

    def assembled(self, state: State) -> Params:
        """The model's parameters in a state, as values."""
        return {name: value.detach().clone() for name, value in self.params(state.variables, self.base).items()}

    def batch_loss(
        self,
        step: int,
        variables: Float[Tensor, "n"],
        base: Float[Tensor, "base"],
        anchor: Float[Tensor, "batch k"],
        weights: Float[Tensor, "batch"],
    ) -> Float[Tensor, ""]:
        """The loss that update `step` lowers; masked examples drop out of the numerator only.

        Raises:
            SelfCheckFailed: it is not finite.
        """
        rows, objective = self.stage.batches[step], self.stage.objective
        losses = measured(self.model, self.params(variables, base), lambda model: objective.losses(model, rows, anchor))
        factors = weights if self.stage.multipliers is None else weights * self.stage.multipliers[step].to(weights)
        loss: Tensor = (losses * factors).sum() / self.sizes[rows].sum().clamp(min=1)
        if not bool(loss.isfinite()):
            raise SelfCheckFailed(
                f"the loss of update {step + 1} of stage '{self.stage.name}' is not finite: training diverged; lower the"
                " learning rate or clip the gradient"
            )
        return loss

    def gradient(self, variables: Float[Tensor, "n"], step: int) -> Float[Tensor, "n"]:
        """The gradient of the loss of update `step`."""
        rows, leaf = self.stage.batches[step], variables.detach().requires_grad_(True)
        loss = self.batch_loss(step, leaf, self.base, self.anchor[rows], self.weights[rows])
        (found,) = torch.autograd.grad(loss, leaf)
        return found

    def following(self, state: State) -> State:
        """The state after the next update."""
        gradient = self.gradient(state.variables, state.step)
        with torch.no_grad():
            updated, moments = self.stage.optimiser.update(state.variables, state.moments, gradient, state.step)
        return State(step=state.step + 1, variables=updated, moments=moments)

    def states(self, start: State, until: int) -> Iterator[State]:
        """The states from `start` up to and with the one after `until` updates, computed one at a time."""
        yield (state := start)
        while state.step < until:
            yield (state := self.following(state))


def bind(model: PreTrainedModel, stage: Stage, params: Params, weights: Float[Tensor, "row"] | None) -> Course:
    """The course of a stage that starts from `params`; `weights` of None is 1 for every example.

    Raises:
        ConfigError: there is not one weight for each example.
    """
    base_layout = Layout.of(params)
    base = base_layout.pack(params)
    if weights is None:
        weights = base.new_ones(stage.rows)
    if len(weights) != stage.rows:
        raise ConfigError(f"stage '{stage.name}' has {stage.rows} examples but was given {len(weights)} weights")
    return Course(
        model=model,
        stage=stage,
        base=base,
        base_layout=base_layout,
        layout=Layout.of(stage.trained.start(params)),
        anchor=torch.cat([piece.detach() for _, piece in anchors(model, stage, params)]).to(base),
        weights=weights.to(base),
        sizes=stage.objective.sizes.to(base),
    )


def anchors(model: PreTrainedModel, stage: Stage, params: Params) -> Iterator[tuple[Tensor, Tensor]]:
    """(examples, what they remember of the model at the stage's start) in batches, differentiable in `params`."""
    for start in range(0, stage.rows, ANCHOR_BATCH):
        rows = torch.arange(start, min(start + ANCHOR_BATCH, stage.rows))
        yield rows, measured(model, params, partial(stage.objective.anchor, rows=rows))
