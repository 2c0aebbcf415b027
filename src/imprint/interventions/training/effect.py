"""A model with training edits in place: hooks for the length of one block, differentiable, on the model's own device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.interventions.training.edit import EVERY_LAYER, TrainingEdit
from imprint.models import Anatomy, Component, Hook, hooked, place
from imprint.runs import derive


@contextmanager
def edited(model: PreTrainedModel, edits: Sequence[TrainingEdit], *, update: int, seed: int) -> Iterator[None]:
    """The model under the edits in force in `update`, while the block lasts; `seed` draws the units where a share is edited.

    The same seed draws the same units at every update, and on models of the same shape.

    Raises:
        ComponentNotFound: a site that the model does not have.
        ConfigError: attention is to be sharpened where queries are normalised after their projection.
    """
    anatomy = Anatomy(model)
    acting = [edit for edit in edits if edit.holds(update)]
    with hooked(model, [hook for edit in acting for hook in _hooks(anatomy, edit, seed)]):
        yield


def edited_units(model: PreTrainedModel, edit: TrainingEdit, *, seed: int) -> dict[str, tuple[int, ...]]:
    """By site the units (heads, neurons, single numbers) that the edit is made on."""
    anatomy = Anatomy(model)
    return {
        str(component): tuple(_units(anatomy, component, edit, seed).nonzero()[:, 0].tolist())
        for component in _components(anatomy, edit)
    }


def check_edit(model: PreTrainedModel, edit: TrainingEdit) -> None:
    """Refuse an edit that this model cannot take; it may lie on the meta device.

    Raises:
        ComponentNotFound: a site that the model does not have.
        ConfigError: attention that cannot be sharpened, or a scale that a norm would take back.
    """
    _hooks(Anatomy(model), edit, seed=0)


def _components(anatomy: Anatomy, edit: TrainingEdit) -> list[Component]:
    addresses = [
        address
        for site in edit.sites
        for address in (
            [site.replace("*", str(layer), 1) for layer in range(anatomy.num_layers)]
            if site.startswith(EVERY_LAYER)
            else [site]
        )
    ]
    return [anatomy.find(address) for address in dict.fromkeys(addresses)]


def _hooks(anatomy: Anatomy, edit: TrainingEdit, seed: int) -> list[Hook]:
    return [
        _sharpened(anatomy, component, edit, seed)
        if edit.action == "sharpen"
        else _acting(anatomy, component, edit, seed)
        for component in _components(anatomy, edit)
    ]


def _units(anatomy: Anatomy, component: Component, edit: TrainingEdit, seed: int) -> Bool[Tensor, "unit"]:
    """The units of a site that are edited: heads of z, neurons, or single numbers; a head is its own only unit."""
    if component.site == "head":
        return torch.ones(1, dtype=torch.bool)
    count = anatomy.num_heads if component.site == "z" else anatomy.width(component)
    chosen = torch.zeros(count, dtype=torch.bool)
    generator = torch.Generator().manual_seed(derive(seed, "training edit", str(component)))
    chosen[torch.randperm(count, generator=generator)[: max(1, round(edit.share * count))]] = True
    return chosen


def _acting(anatomy: Anatomy, component: Component, edit: TrainingEdit, seed: int) -> Hook:
    """A hook that makes h into h * gain + shift at a site."""
    if edit.action == "scale" and edit.share == 1 and _normalised_after(anatomy, component):
        raise ConfigError(
            f"'{component}' cannot be scaled: this model normalises it before it is added, which takes it back"
        )
    module, edge = place(anatomy, component)
    chosen = _columns(anatomy, component, _units(anatomy, component, edit, seed))
    gain = torch.ones(len(chosen), dtype=torch.float64).masked_fill(
        chosen, edit.factor if edit.action == "scale" else 0.0
    )
    shift = torch.zeros(len(chosen), dtype=torch.float64).masked_fill(
        chosen, edit.value if edit.action == "clamp" else 0.0
    )
    return module, edge, _Line(gain, shift)


def _columns(anatomy: Anatomy, component: Component, units: Bool[Tensor, "unit"]) -> Bool[Tensor, "column"]:
    """The units as columns of what passes at the place; a head lies in its layer's z."""
    if component.site == "z":
        return units.repeat_interleave(anatomy.d_head)
    if component.site != "head":
        return units
    columns = torch.zeros(anatomy.num_heads * anatomy.d_head, dtype=torch.bool)
    columns[anatomy.head_columns(component)] = True
    return columns


def _sharpened(anatomy: Anatomy, component: Component, edit: TrainingEdit, seed: int) -> Hook:
    """Queries times the factor: attention logits are linear in them, also after rotation."""
    _refuse_normalised(anatomy, component)
    assert component.layer is not None
    heads = (
        [component.head]
        if component.site == "head"
        else _units(anatomy, component, edit, seed).nonzero()[:, 0].tolist()
    )
    parts = [anatomy.head_slices(_head(component, head))["q"] for head in heads]
    module = parts[0].module
    gain = torch.ones(module.get_parameter("weight").shape[parts[0].dim], dtype=torch.float64)
    gain[torch.cat([part.index for part in parts])] = edit.factor
    return module, "post", _Line(gain, torch.zeros_like(gain))


def _head(component: Component, head: int | None) -> Component:
    return Component(site="head", layer=component.layer, head=head, stack=component.stack, cross=component.cross)


def _normalised_after(anatomy: Anatomy, component: Component) -> bool:
    """Whether a norm stands between the site and the residual stream, as in OLMo-2."""
    return anatomy.family.model_type == "olmo2" and component.site in ("attn", "mlp", "z", "neurons")


def _refuse_normalised(anatomy: Anatomy, component: Component) -> None:
    assert component.layer is not None
    attention = anatomy.attention(component.layer, component.stack, cross=component.cross)
    if any(hasattr(attention, name) for name in ("q_norm", "q_layernorm", "query_norm")):
        raise ConfigError(
            f"attention of '{component}' cannot be sharpened: this model normalises its queries after the projection"
        )


class _Line:
    """A hook: states times a gain plus a shift, column by column."""

    def __init__(self, gain: Float[Tensor, "column"], shift: Float[Tensor, "column"]) -> None:
        self.gain, self.shift = gain, shift

    def __call__(self, states: Tensor) -> Tensor:
        if self.gain.device != states.device or self.gain.dtype != states.dtype:
            self.gain, self.shift = self.gain.to(states), self.shift.to(states)
        return states * self.gain + self.shift
