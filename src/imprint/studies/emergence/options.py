"""What the rooms of an emergence study's file may say: scales, training, interventions, measurements, prediction, allocation."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus import RowKind
from imprint.interventions.training import TrainingArm
from imprint.models import Device, Optimisation

ModelType = Literal["gpt2", "gpt_neox", "llama"]
Dynamic = Literal["loss", "gradient norm", "previous-token attention", "induction attention"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Scale(_Options):
    """One size of model."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    width: int = Field(ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    neurons: int | None = Field(default=None, ge=1)
    """Of each MLP; twice the width if not given."""
    model_type: ModelType = "gpt2"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "Scale":
        if self.width % self.heads:
            raise ValueError(
                f"the width {self.width} of scale '{self.name}' is not a multiple of its {self.heads} heads"
            )
        return self


class Training(_Options):
    """How every run is trained; an intervention may change the optimisation."""

    steps: int = Field(default=1500, ge=10)
    checkpoints: int = Field(default=10, ge=3)
    """Evenly spaced, after the untrained model; must divide the steps."""
    batch: int = Field(default=32, ge=1)
    optimisation: Optimisation = Optimisation()
    device: Device = "cpu"

    @model_validator(mode="after")
    def _checkpoints_divide(self) -> "Training":
        if self.steps % self.checkpoints:
            raise ValueError(f"{self.checkpoints} checkpoints do not divide {self.steps} steps; choose another number")
        return self

    @property
    def every(self) -> int:
        """Updates between two checkpoints."""
        return self.steps // self.checkpoints


class Arm(TrainingArm):
    """One intervention on training: edits of components, another optimiser, another mixture of data, or several at once."""

    sets: tuple[str, ...] = Field(min_length=1)
    """The nodes of the graph that it sets; with two or more it is a joint arm, which tells direct from mediated effects."""
    shares: Mapping[RowKind, float] = Field(default_factory=dict)
    """New shares of these kinds of rows; all others keep their proportions."""

    @model_validator(mode="after")
    def _shares_fit(self) -> "Arm":
        if any(not 0 <= share <= 1 for share in self.shares.values()) or sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError(f"intervention '{self.name}': shares must lie between 0 and 1 and add to at most 1")
        return self

    @property
    def ways(self) -> tuple[str, ...]:
        """The fields by which it can change something."""
        return ("edits", "shares", "optimisation")


class Measuring(_Options):
    """What is measured at every checkpoint, and how a run becomes one number a node."""

    items: int = Field(default=200, ge=20)
    """Questions an ability and checkpoint."""
    rows: int = Field(default=128, ge=8)
    """Held-out rows, in the world's own mixture, for loss and gradient norm."""
    early: float = Field(default=0.4, gt=0, lt=1)
    """Dynamics are means over the checkpoints in this first part of training, abilities over those after it."""
    margin: float = Field(default=0.05, gt=0)
    """The smallest effect on a chance-corrected score that matters; within it an edge is dropped."""


class HeldOut(_Options):
    """The scale that is predicted before it is trained, and how many seeds check the predictions."""

    scale: Scale
    seeds: int = Field(default=2, ge=1)


class Allocating(_Options):
    """The comparison of allocation policies on the runs of this study."""

    shares: tuple[float, ...] = (0.5, 0.8)
    """Targets, as shares of the best score of an ability."""
    replications: int = Field(default=10, ge=2)
