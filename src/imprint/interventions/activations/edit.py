"""`Edit`: what is done to a hidden state, a frozen value; nothing at all at dose 0."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations.subspace import Subspace
from imprint.interventions.activations.tokens import Tokens

States = Float[Tensor, "batch seq width"]
Dose = Float[Tensor, "#batch 1 1"]
_SMALL = 1 << 24
"""Numbers of a tensor that is moved to a device as a whole; of larger tables only what a pass needs is."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edit(ABC):
    """A function of a hidden state; `width` says of what size, None if of any."""

    by_token: ClassVar[bool] = False
    """Whether the edit depends on whose token a state is; if not, `at` may be anything."""

    def __post_init__(self) -> None:
        """Refuse NaN and infinity in any field, whatever the kind."""
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = torch.tensor(value) if isinstance(value, float) else value
            if isinstance(numbers, Tensor) and numbers.is_floating_point() and not bool(numbers.isfinite().all()):
                raise ConfigError(f"{type(self).__name__}.{field.name} holds NaN or infinity; give finite numbers.")

    @property
    @abstractmethod
    def width(self) -> int | None:
        """How many numbers a token must have at the site, or None."""

    @abstractmethod
    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """The edited states (a new tensor); `at` says whose tokens they are."""

    def covers(self, at: Tokens) -> Tensor | None:
        """Boolean (batch seq): the tokens this edit has something for; None if for all."""
        return None


def on_device(part: Any, device: torch.device) -> Any:
    """An edit, or what it is made of, whose small tensors lie on a device."""
    if isinstance(part, Tensor):
        return part.to(device) if part.numel() <= _SMALL else part
    if isinstance(part, Edit | Subspace):
        return replace(part, **{field.name: on_device(getattr(part, field.name), device) for field in fields(part)})
    return tuple(on_device(each, device) for each in part) if isinstance(part, tuple) else part


def blend(within: Subspace | None, states: States, target: Tensor, dose: Dose) -> States:
    """The states, moved `dose` of the way to the target inside a subspace."""
    return (
        torch.lerp(states, target.to(states), dose) if within is None else within.blend(states, target.to(states), dose)
    )


def inject(within: Subspace | None, states: States, change: Tensor, dose: Dose) -> States:
    """The states and `dose` times the part of a change inside a subspace."""
    part = change.to(states)
    return states + dose * (part if within is None else within.project(part))


def vector_width(name: str, value: Tensor) -> int:
    """The length of a vector; `ConfigError` if it is not one."""
    if value.ndim != 1:
        raise ConfigError(f"{name} must be one vector of the site's width; its shape is {tuple(value.shape)}.")
    return int(value.shape[0])


def check_table(name: str, value: Tensor) -> None:
    """Refuse a table that is not (row, position, width)."""
    if value.ndim != 3:
        raise ConfigError(f"{name} must have the shape (row, position, width); it has {tuple(value.shape)}.")
