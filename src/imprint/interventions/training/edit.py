"""`TrainingEdit`: do(component) for a stretch of training, as plain values that a study file can hold."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.errors import ComponentNotFound
from imprint.models import Component

EVERY_LAYER = "L*."
EditAction = Literal["ablate", "clamp", "scale", "sharpen"]


class TrainingEdit(BaseModel):
    """An edit of what passes at `sites` in every forward pass of the chosen updates; gradients flow through it.

    "ablate" sets the chosen units to 0, "clamp" to `value`, "scale" multiplies them by `factor`. "sharpen" multiplies the
    attention logits of the chosen heads by `factor` (sites are then z or heads; 0 makes attention uniform, up to a position
    bias such as ALiBi's). Units are heads at z, neurons at neurons, single numbers elsewhere; a share below 1 is drawn at
    random by the run's seed, so that the edit is randomised over runs.

    Trust: an edit that is in force from the first update makes another architecture, to which training adapts; one that
    begins late asks what a trained model still needs. The two answers differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    action: EditAction
    sites: tuple[str, ...] = Field(min_length=1)
    """Addresses such as "L0.H1", "L1.z", "L0.neurons", "L1.mlp"; "L*.z" is that site in every layer."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the units at each site that is edited, at least one."""
    value: float = 0.0
    """What "clamp" sets the units to."""
    factor: float = 1.0
    """What "scale" and "sharpen" multiply by."""
    first: int = Field(default=0, ge=0)
    """The first update under the edit."""
    last: int | None = None
    """The first update that is free of it again; None: it stays to the end."""

    @model_validator(mode="after")
    def _says_something(self) -> "TrainingEdit":
        if not (math.isfinite(self.value) and math.isfinite(self.factor)):
            raise ValueError("value and factor must be finite numbers")
        if self.action in ("scale", "sharpen") and self.factor == 1.0:
            raise ValueError(f"'{self.action}' needs a factor other than 1, or it changes nothing")
        if self.last is not None and self.last <= self.first:
            raise ValueError(f"last {self.last} must come after first {self.first}")
        for site in self.sites:
            self._check(site)
        heads = [site for site in self.sites if ".H" in site]
        if heads and self.share < 1:
            raise ValueError(f"'{heads[0]}' is one head: a share below 1 draws heads of z, such as L0.z")
        return self

    def _check(self, site: str) -> None:
        try:
            found = Component.parse(site.replace(EVERY_LAYER, "L0.", 1)).site
        except ComponentNotFound as error:
            raise ValueError(str(error)) from error
        if found == "pattern":
            raise ValueError(f"'{site}' can be read but not edited; edit z, or sharpen the attention")
        if self.action == "sharpen" and found not in ("z", "head"):
            raise ValueError(f"'{site}' has no attention to sharpen; give z or heads, such as L0.z or L0.H1")

    def holds(self, update: int) -> bool:
        """Whether the edit is in force in update number `update`, from 0."""
        return self.first <= update and (self.last is None or update < self.last)
