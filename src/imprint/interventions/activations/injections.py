"""Injections: edits that add to a state, in units of the site's root mean square (`site_rms`) or of a cluster difference."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from imprint.errors import ConfigError
from imprint.interventions.activations.draws import keys, normals, signs
from imprint.interventions.activations.edit import Dose, Edit, States, check_table, inject, vector_width
from imprint.interventions.activations.subspace import Subspace
from imprint.interventions.activations.tokens import Tokens


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Noise(Edit):
    """Gaussian noise whose standard deviation in every dimension (or direction of the subspace) is dose * rms.

    The noise of a token depends on (seed, row, position) only, so it is the same at every dose and batch size. With
    `row_ids` (one for each row) rows of the same id share their noise, as the options of one question should: noise of
    their own would change which option wins.
    """

    by_token: ClassVar[bool] = True
    seed: int
    rms: float
    within: Subspace | None = None
    row_ids: Tensor | None = None

    @property
    def width(self) -> int | None:
        """That of the subspace."""
        return None if self.within is None else self.within.width

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose rms P e, e standard normal`."""
        rows = at.rows if self.row_ids is None else self.row_ids.to(at.rows.device)[at.rows]
        noise = normals(states.shape[-1], keys(self.seed, rows, at.positions))
        return inject(self.within, states, noise.mul_(self.rms), dose)


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
        return vector_width("Shift.direction", self.direction)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose rms v`."""
        return torch.addcmul(states, dose, self.direction.to(states), value=self.rms)


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
        check_table("Sign.signs", self.signs)
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
        if vector_width("Swap.source", self.source) != vector_width("Swap.target", self.target):
            raise ConfigError(
                f"Swap.source has width {len(self.source)} and Swap.target {len(self.target)}; map one first."
            )
        return len(self.source)

    def apply(self, states: States, dose: Dose, at: Tokens) -> States:
        """`h + dose P (target - source)`."""
        return inject(self.within, states, self.target.to(states) - self.source.to(states), dose)


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
