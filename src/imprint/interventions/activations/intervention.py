"""`Intervention`: an edit, where, how much, on which tokens and when."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ComponentNotFound, ConfigError
from imprint.interventions.activations.edit import Edit
from imprint.interventions.activations.tokens import PHASES, Phase
from imprint.models import Anatomy, Component


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Intervention:
    """do(site): apply `edit` at `dose` to the states of chosen tokens.

    `site` is an address ("L20.resid_post", "L3.H5", "L3.neurons", "embed", "decoder.L1.cross.z"). `dose` is one number,
    or one a row of the batch, so that several doses run at once. `tokens` is a boolean mask (row, position) over the
    texts, None for all; positions count real tokens from 0 and a position beyond the mask is not edited. `phase`: under
    generation with a cache "prefill" edits the prompt's pass only, "decode" the passes of one new token only; scoring
    is all prefill. Padding is never edited.

    `ConfigError`: a dose that is not finite, a mask that is not boolean or selects nothing, an unknown phase, parts of
    an edit that do not fit together. `ComponentNotFound`: not an address, or an attention pattern.
    """

    site: str
    edit: Edit
    dose: float | tuple[float, ...] = 1.0
    tokens: Tensor | None = None
    phase: Phase = "both"

    def __post_init__(self) -> None:
        """Refuse what could only fail later, or silently."""
        if Component.parse(self.site).site == "pattern":
            raise ComponentNotFound(f"'{self.site}' can be read but not edited; edit z, which the pattern makes.")
        if not self.doses or not all(map(math.isfinite, self.doses)):
            raise ConfigError(f"The dose {self.dose} at {self.site} is not a finite number; give for example 1.0.")
        if self.phase not in PHASES:
            raise ConfigError(f"The phase '{self.phase}' at {self.site} is unknown; write {', '.join(PHASES)}.")
        _check_mask(self.site, self.tokens)
        _ = self.edit.width

    @property
    def doses(self) -> tuple[float, ...]:
        """The doses, one or one a row."""
        return self.dose if isinstance(self.dose, tuple) else (self.dose,)

    @property
    def does_nothing(self) -> bool:
        """True if every dose is 0: it still fires, and leaves the states as they are to the last bit."""
        return not any(self.doses)

    def at(self, dose: float) -> "Intervention":
        """The same intervention at another dose."""
        return replace(self, dose=dose)

    def check(self, model: PreTrainedModel) -> Component:
        """The component it edits; `ComponentNotFound` if the model lacks it, `ConfigError` if the edit has another width."""
        anatomy = Anatomy(model)
        component = anatomy.find(self.site)
        width, wanted = self.edit.width, anatomy.width(component)
        if width is not None and width != wanted:
            kind = type(self.edit).__name__
            raise ConfigError(f"{kind} of width {width} does not fit {self.site}, whose states have {wanted} numbers.")
        return component


def _check_mask(site: str, mask: Tensor | None) -> None:
    if mask is None:
        return
    if mask.dtype != torch.bool or mask.ndim != 2:
        raise ConfigError(
            f"The token mask at {site} is {mask.dtype} of shape {tuple(mask.shape)}; give a boolean one, (row, position)."
        )
    if not bool(mask.any()):
        raise ConfigError(f"The token mask at {site} selects none of {mask.numel()} tokens; there is nothing to edit.")
