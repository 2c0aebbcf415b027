"""Where a mediator sits in a model (a module, its input or output, some columns), and hooks that read or replace it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.models import Anatomy, Hook
from imprint.models.hooks import Edge, place


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """A part of one activation: `columns` of the last axis of a module's first input ("pre") or output ("post")."""

    module: nn.Module
    edge: Edge
    columns: Int[Tensor, "chosen"] | None = None
    """None: all of them."""

    def of(self, tensor: Float[Tensor, "batch seq d"]) -> Float[Tensor, "batch seq chosen"]:
        """The activation at this place."""
        return tensor if self.columns is None else tensor.index_select(-1, self.columns.to(tensor.device))

    def put(
        self,
        tensor: Float[Tensor, "batch seq d"],
        value: Float[Tensor, "batch seq chosen"],
        positions: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d"]:
        """A new tensor that holds `value` here, at `positions` (all by default), and `tensor` elsewhere."""
        if positions is not None:
            value = torch.where(positions[..., None], value, self.of(tensor))
        if self.columns is None:
            return value
        return tensor.index_copy(-1, self.columns.to(tensor.device), value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mediator:
    """A named part of a model's computation: a site, or some dimensions (neurons) of it."""

    site: str
    """An address such as "L3.H5", "L3.mlp", "L3.resid_post", "embed"."""
    dims: tuple[int, ...] = ()
    """Dimensions of the site; none = the whole site."""

    def __str__(self) -> str:
        """The address with its dimensions: "L3.mlp[5]"."""
        return f"{self.site}[{','.join(map(str, self.dims))}]" if self.dims else self.site


def head_mediators(model: PreTrainedModel, stack: str | None = None) -> list[Mediator]:
    """One mediator per attention head, layer by layer."""
    return [Mediator(site=str(head)) for head in Anatomy(model).heads(stack)]


def neuron_mediators(model: PreTrainedModel, site: str, dims: Sequence[int] | None = None) -> list[Mediator]:
    """One mediator per dimension of a site, as Vig et al. take neurons ("L3.mlp", or "L3.neurons" inside it)."""
    chosen = range(Anatomy(model).width(site)) if dims is None else dims
    return [Mediator(site=site, dims=(dim,)) for dim in chosen]


def place_of(anatomy: Anatomy, mediator: Mediator) -> Place:
    """The place of a mediator in a model.

    Raises:
        ComponentNotFound: the model has no such layer, head or site, or it is a pattern, which can only be read.
        ConfigError: a dimension outside the site.
    """
    component = anatomy.find(mediator.site)
    module, edge = place(anatomy, component)
    width = anatomy.width(component)
    outside = [dim for dim in mediator.dims if not 0 <= dim < width]
    if outside:
        raise ConfigError(f"{mediator.site} has dimensions 0 to {width - 1}, but {outside[0]} was asked.")
    start = anatomy.head_columns(component).start if component.site == "head" else 0
    if not mediator.dims and component.site != "head":
        return Place(module=module, edge=edge)
    columns = torch.tensor(mediator.dims or range(width)) + start
    return Place(module=module, edge=edge, columns=columns)


def reading(places: Mapping[str, Place], into: dict[str, Tensor]) -> list[Hook]:
    """Hooks that keep a detached copy of the activation at every place."""

    def keep(name: str, spot: Place) -> Hook:
        def read(tensor: Tensor) -> None:
            into[name] = spot.of(tensor).detach().clone()

        return spot.module, spot.edge, read

    return [keep(name, spot) for name, spot in places.items()]


def replacing(spot: Place, value: Tensor, positions: Tensor | None = None) -> Hook:
    """A hook that puts `value` at a place."""
    return spot.module, spot.edge, lambda tensor: spot.put(tensor, value.to(tensor), positions)
