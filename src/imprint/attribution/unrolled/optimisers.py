"""Optimisers as pure functions of (parameters, state, gradient), differentiable in all three."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.models import Optimisation

Moments = tuple[Float[Tensor, "n"], ...]
"""The optimiser's state: vectors as long as the parameters."""
Schedule = Callable[[int], float]
"""The factor on the learning rate of the update that follows this many finished updates."""


def constant(step: int) -> float:
    """The full rate from the first update on."""
    return 1.0


def warm_up(steps: int, *, until: int | None = None) -> Schedule:
    """A linear rise over `steps` updates (1 = none), then the full rate, or a linear fall to 0 at update `until`."""

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / steps)
        return rise if until is None else min(rise, max(0.0, (until - step) / max(1, until - steps)))

    return factor


@runtime_checkable
class Optimiser(Protocol):
    """One update of a parameter vector."""

    def initial(self, parameters: Float[Tensor, "n"]) -> Moments:
        """The state before the first update."""
        ...

    def rate(self, step: int) -> float:
        """The learning rate of the update that follows `step` finished updates."""
        ...

    def update(
        self, parameters: Float[Tensor, "n"], moments: Moments, gradient: Float[Tensor, "n"], step: int
    ) -> tuple[Float[Tensor, "n"], Moments]:
        """Parameters and state after the update."""
        ...

    def response(self, moments: Moments, gradient: Float[Tensor, "n"], step: int) -> tuple[Float[Tensor, "n"], float]:
        """(p, decay): what a lasting change dg of the gradient adds to the parameters is - rate (p dg + decay x parameters).

        With the state held fixed, after `step` (at least 1) finished updates; `gradient` is the batch's, before clipping.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sgd:
    """Stochastic gradient descent with heavy-ball momentum and L2 decay, as `torch.optim.SGD`."""

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    schedule: Schedule = constant

    def initial(self, parameters: Float[Tensor, "n"]) -> Moments:
        """No state without momentum."""
        return (torch.zeros_like(parameters),) if self.momentum else ()

    def rate(self, step: int) -> float:
        """The learning rate of the update that follows `step` finished updates."""
        return self.learning_rate * self.schedule(step)

    def update(
        self, parameters: Float[Tensor, "n"], moments: Moments, gradient: Float[Tensor, "n"], step: int
    ) -> tuple[Float[Tensor, "n"], Moments]:
        """Parameters and velocity after the update."""
        change = clipped(gradient, self.clip_norm) + self.weight_decay * parameters
        if not self.momentum:
            return parameters - self.rate(step) * change, ()
        velocity = self.momentum * moments[0] + change
        return parameters - self.rate(step) * velocity, (velocity,)

    def response(self, moments: Moments, gradient: Float[Tensor, "n"], step: int) -> tuple[Float[Tensor, "n"], float]:
        """Momentum repeats every change 1 / (1 - momentum) times."""
        repeats = 1 / (1 - self.momentum)
        return repeats * clip_factor(gradient, self.clip_norm) * torch.ones_like(gradient), repeats * self.weight_decay


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamW:
    """Adam with decoupled weight decay, as `torch.optim.AdamW` and `models.training` use it.

    Trust: the derivative of m / (sqrt(v) + eps) is as large as 1 / eps where a gradient is nearly 0, so metagradients of a
    run with eps_root = 0 can be exact and still describe only very small changes of the data. `eps_root` (added to the
    bias-corrected v inside the root, as in optax) makes the run smooth; it changes the run, not only its derivative.
    Where v is exactly 0 (a token that no batch holds) the root's derivative is taken as 0, which is exact.
    """

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    eps: float = 1e-8
    eps_root: float = 0.0
    schedule: Schedule = constant

    @staticmethod
    def of(recipe: Optimisation, *, eps_root: float = 0.0) -> "AdamW":
        """The optimiser that `models.train` builds from the same recipe."""
        return AdamW(
            learning_rate=recipe.learning_rate,
            beta1=recipe.beta1,
            beta2=recipe.beta2,
            weight_decay=recipe.weight_decay,
            clip_norm=recipe.clip_norm,
            eps_root=eps_root,
            schedule=warm_up(recipe.warmup_steps),
        )

    def initial(self, parameters: Float[Tensor, "n"]) -> Moments:
        """Both moments are 0."""
        return torch.zeros_like(parameters), torch.zeros_like(parameters)

    def rate(self, step: int) -> float:
        """The learning rate of the update that follows `step` finished updates."""
        return self.learning_rate * self.schedule(step)

    def update(
        self, parameters: Float[Tensor, "n"], moments: Moments, gradient: Float[Tensor, "n"], step: int
    ) -> tuple[Float[Tensor, "n"], Moments]:
        """Parameters and moments after the update."""
        change, rate = clipped(gradient, self.clip_norm), self.rate(step)
        first = torch.lerp(moments[0], change, 1 - self.beta1)
        second = self.beta2 * moments[1] + (1 - self.beta2) * change * change
        correction1, correction2 = 1 - self.beta1 ** (step + 1), 1 - self.beta2 ** (step + 1)
        scale = _root(second + correction2 * self.eps_root) / math.sqrt(correction2) + self.eps
        return parameters * (1 - rate * self.weight_decay) - (rate / correction1) * first / scale, (first, second)

    def response(self, moments: Moments, gradient: Float[Tensor, "n"], step: int) -> tuple[Float[Tensor, "n"], float]:
        """1 / (sqrt(v) + eps); 0 for parameters that have had no gradient yet."""
        squares = moments[1] / (1 - self.beta2**step)
        factor = clip_factor(gradient, self.clip_norm)
        return torch.where(squares > 0, factor / (_root(squares + self.eps_root) + self.eps), 0.0), self.weight_decay


def clipped(gradient: Float[Tensor, "n"], limit: float | None) -> Float[Tensor, "n"]:
    """The gradient scaled down to a norm of at most `limit`, as `torch.nn.utils.clip_grad_norm_` does."""
    return gradient if limit is None else gradient * clip_factor(gradient, limit)


def clip_factor(gradient: Float[Tensor, "n"], limit: float | None) -> Float[Tensor, ""]:
    """What clipping multiplies the gradient by."""
    if limit is None:
        return gradient.new_ones(())
    factor: Tensor = (limit / (torch.linalg.vector_norm(gradient) + 1e-6)).clamp(max=1.0)
    return factor


def _root(squares: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """The square root, with derivative 0 at 0."""
    safe = torch.where(squares > 0, squares, 1.0)
    return torch.where(squares > 0, safe.sqrt(), 0.0)
