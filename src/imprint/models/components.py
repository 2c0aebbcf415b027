"""Addresses of the parts of a model ("L3.H5", "L3.mlp", "decoder.L1.cross.H0") and the modules and weights there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast, final, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.errors import ComponentNotFound, ContextTooLong, ModelError
from imprint.models.families import AttentionLayout, HeadShape, Role, Stack, family_of, head_outputs

Site = Literal["head", "z", "attn", "pattern", "mlp", "neurons", "resid_pre", "resid_post", "embed"]
_ATTENTION_SITES = ("head", "z", "attn", "pattern")
_LAYER_SITES = tuple(site for site in get_args(Site) if site not in ("head", "embed"))
_NUMBER = "(0|[1-9][0-9]*)"
_ADDRESS = re.compile(
    rf"(?:(?P<stack>encoder|decoder)\.)?"
    rf"(?:(?P<embed>embed)|L(?P<layer>{_NUMBER})\.(?:(?P<cross>cross)\.)?"
    rf"(?:H(?P<head>{_NUMBER})|(?P<site>{'|'.join(_LAYER_SITES)})))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """One addressable part of a model; `str` and `parse` are inverse.

    `stack` is "" except in encoder-decoder models ("encoder" or "decoder"); `cross` marks a decoder's attention over
    the encoder. Sites: "head" (z of one head), "z" (all heads side by side: the input of the out-projection), "attn"
    (the out-projection's output), "pattern" (attention weights), "mlp" (the MLP's output), "neurons" (the input of the
    MLP's down-projection), "resid_pre" and "resid_post" (the residual stream before and after a block), "embed" (token
    embeddings, before positions).
    """

    site: Site
    layer: int | None = None
    head: int | None = None
    stack: str = ""
    cross: bool = False

    @staticmethod
    def parse(address: str) -> "Component":
        """The component at an address such as "L3.H5"; `ComponentNotFound` if it is not an address."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise ComponentNotFound(
                f"'{address}' is not the address of a component; write for example L3.H5, L3.mlp, L3.resid_post, "
                f"embed, or in an encoder-decoder model encoder.L1.H0, decoder.L1.cross.H0."
            )
        part = match.groupdict()
        layer, head = (None if part[key] is None else int(part[key]) for key in ("layer", "head"))
        site: Site = "embed" if part["embed"] else "head" if head is not None else cast(Site, part["site"])
        cross = part["cross"] is not None
        if cross and site not in _ATTENTION_SITES:
            raise ComponentNotFound(f"'{address}': only attention can be cross; write decoder.L1.cross.H0.")
        return Component(site=site, layer=layer, head=head, stack=part["stack"] or "", cross=cross)

    def __str__(self) -> str:
        """The address, as `parse` reads it."""
        if self.site == "embed":
            parts = [self.stack, "embed"]
        else:
            last = f"H{self.head}" if self.site == "head" else self.site
            parts = [self.stack, f"L{self.layer}", "cross" if self.cross else "", last]
        return ".".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ParameterSlice:
    """The part of one stored parameter that belongs to a head.

    `index` selects along axis `dim` of the tensor as it is stored. For q, k and v it also selects the outputs of
    `module`, for o the inputs of `module`, so the same indices slice the activations' last axis. `transposed` is true
    for GPT-2's Conv1D, which stores (in, out). `shared_with` lists the other query heads that read the same slice
    (grouped-query attention).
    """

    name: str
    dim: int
    index: Int[Tensor, "d_head"]
    transposed: bool
    module: nn.Module
    shared_with: tuple[int, ...] = ()

    def of(self, tensor: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """This slice of any tensor shaped like the parameter, such as its gradient (a differentiable copy)."""
        return tensor.index_select(self.dim, self.index.to(tensor.device))

    def matrix(self, tensor: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """This slice oriented (out, in) whatever the storage; a bias slice keeps its one axis."""
        part = self.of(tensor)
        return part.T if self.transposed and part.ndim == 2 else part

    def view(self, model: nn.Module) -> Float[Tensor, "..."]:
        """A detached copy of this slice of the model's parameter, in stored orientation."""
        return self.of(model.get_parameter(self.name).detach())

    @torch.no_grad()
    def assign(self, model: nn.Module, values: Float[Tensor, "..."]) -> None:
        """Write `values` (shaped as `view` returns them) into this slice of the model's parameter."""
        parameter = model.get_parameter(self.name)
        parameter.index_copy_(self.dim, self.index.to(parameter.device), values.to(parameter))


@final
class Anatomy:
    """Where the parts of a model are: sizes, modules, and the parameter slices of every head.

    `stack` arguments may be left out in models with one tower; T5 needs "encoder" or "decoder". Layers and heads
    outside the model raise `ComponentNotFound` with the valid range; unknown families raise `ModelError`.

    Trust: OLMo-2 normalises queries and keys over all heads together, so a head's q and k slices reach the other
    heads of its layer through that norm; its v and o slices do not.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Look up the family of `model` and read the sizes from its config; the model is not touched."""
        config = model.config
        self.model = model
        self.family = family_of(config.model_type)
        self.d_model = int(config.hidden_size)
        self.num_heads = int(config.num_attention_heads)
        self.num_kv_heads = self.family.kv_heads(config)
        self.d_head = int(getattr(config, "head_dim", None) or self.d_model // self.num_heads)
        self.context_length = self.family.context(config)
        self._base = model.base_model

    @cached_property
    def _names(self) -> dict[int, str]:
        return {id(parameter): name for name, parameter in self.model.named_parameters(remove_duplicate=False)}

    @property
    def shape(self) -> HeadShape:
        """The sizes of one attention module."""
        return HeadShape(num_heads=self.num_heads, num_kv_heads=self.num_kv_heads, d_head=self.d_head)

    @property
    def stacks(self) -> tuple[str, ...]:
        """Names of the towers: ("",), or ("encoder", "decoder")."""
        return tuple(stack.name for stack in self.family.stacks)

    @property
    def num_layers(self) -> int:
        """Blocks in the tower that predicts tokens (the decoder in T5)."""
        return len(self.layers(self.stacks[-1]))

    def tower(self, stack: str | None = None) -> nn.Module:
        """The module that runs one tower: embedding, blocks and final norm, without the unembedding."""
        name = self._stack(stack).name
        return self._base.get_submodule(name) if name else self._base

    def layers(self, stack: str | None = None) -> nn.ModuleList:
        """The blocks of a tower, in order."""
        return cast(nn.ModuleList, self._base.get_submodule(self._stack(stack).layers))

    def block(self, layer: int, stack: str | None = None) -> nn.Module:
        """One block; its first input is the residual stream before it and its first output the one after it."""
        blocks = self.layers(stack)
        if not 0 <= layer < len(blocks):
            raise ComponentNotFound(
                f"Layer {layer} was asked, but {self._named(stack)} has layers 0 to {len(blocks) - 1}."
            )
        return blocks[layer]

    def attention(self, layer: int, stack: str | None = None, *, cross: bool = False) -> nn.Module:
        """The attention module of a layer: it returns a tuple whose last entry is the pattern."""
        return self.block(layer, stack).get_submodule(self._layout(stack, cross).module)

    def projection(self, role: Role, layer: int, stack: str | None = None, *, cross: bool = False) -> nn.Module:
        """The module that makes q, k or v (one and the same where they are packed together)."""
        return self.block(layer, stack).get_submodule(self._layout(stack, cross).path(role))

    def out_projection(self, layer: int, stack: str | None = None, *, cross: bool = False) -> nn.Module:
        """The out-projection of a layer: its INPUT is z, the heads' outputs side by side."""
        return self.block(layer, stack).get_submodule(self._layout(stack, cross).out)

    def mlp(self, layer: int, stack: str | None = None) -> nn.Module:
        """The module whose OUTPUT is the MLP's (in BERT its second linear map; OLMo-2 normalises it afterwards)."""
        return self.block(layer, stack).get_submodule(self._stack(stack).mlp)

    def down_projection(self, layer: int, stack: str | None = None) -> nn.Module:
        """The MLP's second linear map: its INPUT are the neurons, after the activation function and the gate."""
        return self.block(layer, stack).get_submodule(self._stack(stack).down)

    def embedding(self, stack: str | None = None) -> nn.Module:
        """The token embedding."""
        return self._base.get_submodule(self._stack(stack).embedding)

    def final_norm(self, stack: str | None = None) -> nn.Module:
        """The norm after the last block; `ModelError` for BERT, which normalises inside its blocks."""
        path = self._stack(stack).final_norm
        if path is None:
            raise ModelError(f"A model of type '{self.family.model_type}' has no final norm: its blocks end with one.")
        return self._base.get_submodule(path)

    def unembedding(self) -> nn.Module:
        """The map from the final states to logits; `ModelError` if the model was loaded without its head."""
        model: Any = self.model
        head: nn.Module | None = model.get_output_embeddings()
        if head is None:
            raise ModelError(f"{type(self.model).__name__} has no unembedding; load the model with its language head.")
        return head

    def heads(self, stack: str | None = None, *, cross: bool = False) -> Iterator[Component]:
        """Every head of a tower, layer by layer."""
        self._layout(stack, cross)
        name = self._stack(stack).name
        for layer in range(len(self.layers(stack))):
            for head in range(self.num_heads):
                yield Component(site="head", layer=layer, head=head, stack=name, cross=cross)

    def find(self, address: str | Component) -> Component:
        """The component at an address, checked against this model: `ComponentNotFound` if the model lacks it."""
        component = Component.parse(address) if isinstance(address, str) else address
        self._stack(component.stack)
        if component.layer is not None:
            self.block(component.layer, component.stack)
        if component.site in _ATTENTION_SITES:
            self._layout(component.stack, component.cross)
        if component.head is not None and not 0 <= component.head < self.num_heads:
            raise ComponentNotFound(f"{component} was asked, but the model has heads 0 to {self.num_heads - 1}.")
        return component

    def width(self, component: str | Component) -> int:
        """How many numbers a token has at a component: d_head, heads * d_head, neurons or d_model."""
        found = self.find(component)
        if found.site == "pattern":
            raise ComponentNotFound(f"'{found}' has no width: a pattern has one number a pair of positions.")
        if found.site == "neurons":
            assert found.layer is not None
            down = self.down_projection(found.layer, found.stack)
            return int(down.get_parameter("weight").shape[0 if isinstance(down, Conv1D) else 1])
        return {"head": self.d_head, "z": self.num_heads * self.d_head}.get(found.site, self.d_model)

    def head_columns(self, component: str | Component) -> slice:
        """Where one head lies in z (the last axis of the out-projection's input)."""
        head = self._head(component).head
        assert head is not None
        return slice(head * self.d_head, (head + 1) * self.d_head)

    def head_slices(self, component: str | Component) -> dict[str, ParameterSlice]:
        """The parameters of one head by role: "q", "k", "v", "o" and, where it has them, "q_bias", "k_bias", "v_bias".

        The out-projection's bias belongs to the layer, not to a head. Under grouped-query attention k and v are those
        of the shared key/value head; `shared_with` says with whom.
        """
        found = self._head(component)
        assert found.layer is not None
        assert found.head is not None
        slices: dict[str, ParameterSlice] = {}
        for role in ("q", "k", "v"):
            slices |= self._role_slices(role, found, found.layer, found.head)
        out = self.out_projection(found.layer, found.stack, cross=found.cross)
        columns = torch.arange(found.head * self.d_head, (found.head + 1) * self.d_head)
        slices["o"] = self._slice(out, "weight", columns, outputs=False, shared_with=())
        return slices

    def _role_slices(self, role: Role, found: Component, layer: int, head: int) -> dict[str, ParameterSlice]:
        layout = self._layout(found.stack, found.cross)
        module = self.projection(role, layer, found.stack, cross=found.cross)
        index = head_outputs(layout.packing, role, head, self.shape)
        shared = () if role == "q" else self._sharing(head)
        slices: dict[str, ParameterSlice] = {}
        slices[role] = self._slice(module, "weight", index, outputs=True, shared_with=shared)
        if module.bias is not None:
            slices[f"{role}_bias"] = self._slice(module, "bias", index, outputs=True, shared_with=shared)
        return slices

    def _slice(
        self, module: nn.Module, kind: str, index: Tensor, *, outputs: bool, shared_with: tuple[int, ...]
    ) -> ParameterSlice:
        transposed = isinstance(module, Conv1D)
        dim = 0 if kind == "bias" or outputs != transposed else 1
        name = self._names[id(module.get_parameter(kind))]
        return ParameterSlice(
            name=name, dim=dim, index=index, transposed=transposed, module=module, shared_with=shared_with
        )

    def _sharing(self, head: int) -> tuple[int, ...]:
        kv_head = self.shape.kv_head
        return tuple(other for other in range(self.num_heads) if other != head and kv_head(other) == kv_head(head))

    def _head(self, component: str | Component) -> Component:
        found = self.find(component)
        if found.site != "head":
            raise ComponentNotFound(f"'{found}' is not a head; write for example L0.H0.")
        return found

    def _stack(self, name: str | None) -> Stack:
        stacks = {stack.name: stack for stack in self.family.stacks}
        wanted = self.stacks[0] if name is None and len(stacks) == 1 else name or ""
        if wanted in stacks:
            return stacks[wanted]
        remedy = "leave the stack out" if "" in stacks else f"start the address with {' or '.join(stacks)}"
        raise ComponentNotFound(f"A model of type '{self.family.model_type}' has no stack '{wanted}'; {remedy}.")

    def _layout(self, stack: str | None, cross: bool) -> AttentionLayout:
        found = self._stack(stack)
        if not cross:
            return found.attention
        if found.cross is None:
            raise ComponentNotFound(f"Cross-attention was asked, but {self._named(stack)} has none.")
        return found.cross

    def _named(self, stack: str | None) -> str:
        name = self._stack(stack).name
        return f"the {name}" if name else "the model"


def check_context(model: PreTrainedModel, length: int) -> None:
    """Raise `ContextTooLong` if a sequence of `length` tokens does not fit into the model's context."""
    limit = family_of(model.config.model_type).context(model.config)
    if limit is not None and length > limit:
        raise ContextTooLong(
            f"A sequence of {length} tokens is longer than the model's context of {limit}; cut it to {limit} or fewer."
        )
