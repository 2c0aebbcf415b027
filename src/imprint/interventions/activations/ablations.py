"""Ablations: edits that move a state towards a target; dose 1 replaces it, .5 goes half way (METHODS section 5)."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations.draws import choices, keys
from imprint.interventions.activations.edit import Dose, Edit, States, blend, check_table, vector_width
from imprint.interventions.activations.subspace import Subspace
from imprint.interventions.activations.tokens import Tokens


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Zero(Edit):
    """Zero ablation of a subspace (of everything if none is given). Trust: off-distribution; prefer Mean or Resample."""

    within: Subspace | None = None

    @property
    def width(self) -> int | None:
        """That of the subspace."""
        return None if self.within is None else self.within.width

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h - dose P h`."""
        return blend(self.within, states, torch.zeros_like(states), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mean(Edit):
    """Mean ablation: the subspace gets the value of a reference mean. Trust: on-distribution in first moments only."""

    value: Tensor
    within: Subspace | None = None

    @property
    def width(self) -> int:
        """That of the value."""
        return vector_width("Mean.value", self.value)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (value - h)`."""
        return blend(self.within, states, self.value.to(states).expand_as(states), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Resample(Edit):
    """Each token's subspace gets that of a reference token drawn by (seed, row, position); `states` is (n, width).

    Trust: give states of other documents than the ones scored, or a token may get itself back.
    """

    by_token: ClassVar[bool] = True
    states: Tensor
    seed: int
    within: Subspace | None = None

    @property
    def width(self) -> int:
        """That of the reference states."""
        if self.states.ndim != 2 or len(self.states) == 0:
            raise ConfigError(
                f"Resample.states must be (n, width) with n > 0; its shape is {tuple(self.states.shape)}."
            )
        return int(self.states.shape[1])

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (h_other - h)`."""
        chosen = choices(len(self.states), keys(self.seed, at.rows, at.positions)).to(self.states.device)
        return blend(self.within, states, self.states[chosen].to(states), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Patch(Edit):
    """Each token's subspace gets given states, (row, position, width): activation patching, or another model's states.

    States of another model come from `Alignment.map`; tokens beyond the table are left alone.
    """

    by_token: ClassVar[bool] = True
    states: Tensor
    within: Subspace | None = None

    @property
    def width(self) -> int:
        """That of the states."""
        check_table("Patch.states", self.states)
        return int(self.states.shape[2])

    def covers(self, at: Tokens) -> Tensor:
        """Tokens that the table has."""
        return at.within(self.states)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (h_given - h)`."""
        return blend(self.within, states, at.lookup(self.states).to(states), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Affine(Edit):
    """An affine map about a mean: mean + matrix (h - mean); with LEACE's eraser P this is concept erasure.

    Source: Belrose et al. 2023, eq. 1 (`matrix` = I - W^+ P W, `mean` = E[h]).
    """

    matrix: Tensor
    mean: Tensor

    @property
    def width(self) -> int:
        """That of the mean."""
        width = vector_width("Affine.mean", self.mean)
        if tuple(self.matrix.shape) != (width, width):
            raise ConfigError(
                f"Affine.matrix must be ({width}, {width}) as its mean; it is {tuple(self.matrix.shape)}."
            )
        return width

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose (mean + matrix (h - mean) - h)`."""
        mean = self.mean.to(states)
        return torch.lerp(states, mean + (states - mean) @ self.matrix.to(states).T, dose)
