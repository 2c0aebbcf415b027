"""What is done to a hidden state: ten kinds of edit, each a frozen value, each nothing at all at dose 0.

Ablations (Zero, Mean, Resample, Patch, Affine) move a state towards a target: dose 1 replaces it, .5 goes half way.
Injections (Noise, Shift, Sign, RandomSign) add `dose * rms` times a unit change, `rms` being the root mean square of
the site (`site_rms`); Swap adds `dose` times the difference of two cluster means. METHODS section 5.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations.draws import choices, keys, normals, signs
from imprint.interventions.activations.subspace import Subspace
from imprint.interventions.activations.tokens import Tokens

States = Float[Tensor, "batch seq width"]
Dose = Float[Tensor, "#batch 1 1"]


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


def _blend(within: Subspace | None, states: States, target: Tensor, dose: Dose) -> States:
    return (
        torch.lerp(states, target.to(states), dose) if within is None else within.blend(states, target.to(states), dose)
    )


def _inject(within: Subspace | None, states: States, change: Tensor, dose: Dose) -> States:
    part = change.to(states)
    return states + dose * (part if within is None else within.project(part))


def _vector(name: str, value: Tensor) -> int:
    if value.ndim != 1:
        raise ConfigError(f"{name} must be one vector of the site's width; its shape is {tuple(value.shape)}.")
    return int(value.shape[0])


def _table(name: str, value: Tensor) -> None:
    if value.ndim != 3:
        raise ConfigError(f"{name} must have the shape (row, position, width); it has {tuple(value.shape)}.")


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
        return _blend(self.within, states, torch.zeros_like(states), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mean(Edit):
    """Mean ablation: the subspace gets the value of a reference mean. Trust: on-distribution in first moments only."""

    value: Tensor
    within: Subspace | None = None

    @property
    def width(self) -> int:
        """That of the value."""
        return _vector("Mean.value", self.value)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (value - h)`."""
        return _blend(self.within, states, self.value.to(states).expand_as(states), dose)


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
        return _blend(self.within, states, self.states[chosen].to(states), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Noise(Edit):
    """Gaussian noise whose standard deviation in every dimension (or direction of the subspace) is dose * rms.

    The noise of a token depends on (seed, row, position) only, so it is the same at every dose and batch size.
    """

    by_token: ClassVar[bool] = True
    seed: int
    rms: float
    within: Subspace | None = None

    @property
    def width(self) -> int | None:
        """That of the subspace."""
        return None if self.within is None else self.within.width

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose rms P e, e standard normal`."""
        noise = normals(states.shape[-1], keys(self.seed, at.rows, at.positions))
        return _inject(self.within, states, noise.mul_(self.rms), dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shift(Edit):
    """A step of length dose * rms along a unit direction (SVD, probe, LEACE, mean difference); `along` makes it unit."""

    direction: Tensor
    rms: float

    def __post_init__(self) -> None:
        """Refuse a direction that is not of length one."""
        Edit.__post_init__(self)
        length = float(self.direction.double().norm())
        if abs(length - 1) > 1e-3:
            raise ConfigError(
                f"Shift.direction has length {length:.4g}, not 1; make it with Shift.along(vector, rms=...)."
            )

    @staticmethod
    def along(vector: Tensor, *, rms: float) -> "Shift":
        """The shift along any vector that is not zero."""
        length = vector.double().norm()
        if not 0 < float(length) < float("inf"):
            raise ConfigError("A shift needs a direction: the vector must be finite and not zero.")
        return Shift(direction=(vector.double() / length).to(vector.dtype), rms=rms)

    @property
    def width(self) -> int:
        """That of the direction."""
        return _vector("Shift.direction", self.direction)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose rms v`."""
        return states + (dose * self.rms) * self.direction.to(states)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sign(Edit):
    """Gradient-sign injection h + dose * rms * sign(dL/dh): positive doses raise the loss (source 000).

    `signs` is (row, position, width) in int8, from `gradient_signs`; tokens beyond it are left alone.
    Trust: it needs the labels and attacks the model, so it says nothing about a cluster by itself; compare with the
    same dose on random tokens and with `RandomSign`.
    """

    by_token: ClassVar[bool] = True
    signs: Tensor
    rms: float

    @property
    def width(self) -> int:
        """That of the signs."""
        _table("Sign.signs", self.signs)
        return int(self.signs.shape[2])

    def covers(self, at: Tokens) -> Tensor:
        """Tokens for which a gradient was computed."""
        return at.within(self.signs)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose rms sign`."""
        return states + dose * self.rms * at.lookup(self.signs).to(states)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RandomSign(Edit):
    """The control of `Sign`: an equally large step into a random corner, by (seed, row, position)."""

    by_token: ClassVar[bool] = True
    seed: int
    rms: float

    @property
    def width(self) -> None:
        """Any."""
        return

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose rms s, s random signs`."""
        return states + dose * self.rms * signs(states.shape[-1], keys(self.seed, at.rows, at.positions)).to(states)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Swap(Edit):
    """Makes a state of one cluster look like one of another: h - source + target, its own residual kept (source 000)."""

    source: Tensor
    target: Tensor
    within: Subspace | None = None

    @property
    def width(self) -> int:
        """That of the two cluster means."""
        if _vector("Swap.source", self.source) != _vector("Swap.target", self.target):
            raise ConfigError(
                f"Swap.source has width {len(self.source)} and Swap.target {len(self.target)}; map one first."
            )
        return len(self.source)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (target - source)`."""
        return _inject(self.within, states, self.target.to(states) - self.source.to(states), dose)


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
        _table("Patch.states", self.states)
        return int(self.states.shape[2])

    def covers(self, at: Tokens) -> Tensor:
        """Tokens that the table has."""
        return at.within(self.states)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (h_given - h)`."""
        return _blend(self.within, states, at.lookup(self.states).to(states), dose)


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
        width = _vector("Affine.mean", self.mean)
        if tuple(self.matrix.shape) != (width, width):
            raise ConfigError(
                f"Affine.matrix must be ({width}, {width}) as its mean; it is {tuple(self.matrix.shape)}."
            )
        return width

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose (mean + matrix (h - mean) - h)`."""
        mean = self.mean.to(states)
        return torch.lerp(states, mean + (states - mean) @ self.matrix.to(states).T, dose)


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Combined(Edit):
    """Several edits added up: h + sum of weight_i * (edit_i(h) - h), each computed from the unedited state.

    Several interventions at one site, by contrast, act one after the other in the order given.
    """

    by_token: ClassVar[bool] = True
    parts: tuple[Edit, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse no parts, or weights that are not one finite number a part."""
        finite = all(abs(weight) < float("inf") for weight in self.weights)
        if not self.parts or len(self.parts) != len(self.weights) or not finite:
            raise ConfigError(
                f"{len(self.parts)} edits with weights {self.weights} were combined; give one finite weight each."
            )

    @property
    def width(self) -> int | None:
        """The one width of all parts; `ConfigError` if they differ."""
        widths = {part.width for part in self.parts} - {None}
        if len(widths) > 1:
            raise ConfigError(f"Edits of widths {sorted(map(str, widths))} cannot be combined at one site.")
        return widths.pop() if widths else None

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """The sum of the changes."""
        changes = [
            weight * _kept(part.apply(states, dose, at) - states, part.covers(at))
            for part, weight in zip(self.parts, self.weights, strict=True)
        ]
        return states + torch.stack(changes).sum(0)


def _kept(change: States, covered: Tensor | None) -> States:
    return change if covered is None else change * covered[..., None]
