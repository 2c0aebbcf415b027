"""Which part of a model is attributed: the whole of it, chosen layers, heads, neurons, or a direction it writes to."""

from collections.abc import Collection, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.attribution.engine.subspace import Block, Subspace
from imprint.errors import ComponentNotFound, ConfigError
from imprint.models import Anatomy, Component

HeadParts = Literal["qkvo", "qk", "vo"]
"""Which of a head's matrices are attributed: all (induction heads), queries and keys (previous-token heads), values."""


def whole_model(
    model: PreTrainedModel, *, layers: Collection[int] | None = None, bias: bool = True, embedding: bool = False
) -> Subspace:
    """Every linear map of the blocks (all, or those of the chosen layers), one block of parameters each, biases joined.

    Scores split by module. The unembedding is left out; norms have no factors. With `embedding` the token embedding is
    added.

    Raises:
        ComponentNotFound: a layer that the model does not have.
        ConfigError: no layer is named, or the embedding is tied to the unembedding, so that half of its gradient has no
            such factors.
    """
    anatomy = Anatomy(model)
    chosen = list(range(anatomy.num_layers)) if layers is None else sorted(set(layers))
    if not chosen:
        raise ConfigError("no layer was asked for; name at least one, or leave layers out for all")
    names = {module: name for name, module in model.named_modules()}
    modules: dict[str, nn.Module] = {}
    for layer in chosen:
        for module in anatomy.block(layer).modules():
            if isinstance(module, nn.Linear | Conv1D):
                modules[names[module]] = module
    blocks = [
        Block(name=name, outputs=((name, None),), bias=bias and module.bias is not None, group=name)
        for name, module in modules.items()
    ]
    if embedding:
        table = anatomy.embedding()
        if model.get_output_embeddings().weight is table.weight:  # type: ignore[no-untyped-call]
            raise ConfigError("the token embedding is tied to the unembedding here, so leave the embedding out")
        name = names[table]
        modules = {name: table, **modules}
        padding = getattr(table, "padding_idx", None)
        blocks.insert(0, Block(name=name, outputs=((name, None),), padding=padding, group=name))
    label = "whole model" if layers is None else f"layers {', '.join(map(str, chosen))}"
    return Subspace(name=label, blocks=tuple(blocks), modules=modules)


def head_subspace(
    model: PreTrainedModel, head: Component | str, parts: HeadParts = "qkvo", *, bias: bool = False
) -> Subspace:
    """One attention head's own slices of Q, K, V and O as blocks `qk` (joint), `v` and `o`; biases only by name.

    Under grouped-query attention the key and value slices are those of the head's group, shared with its other heads.
    Source: Mechanistic Data Attribution, core/ekfac_blocks. Trust: EK-FAC is not invariant under the bilinear symmetry
    W_Q -> W_Q M, W_K -> W_K M^-T, so scores depend on the parametrisation that training found.
    """
    component = Component.parse(head) if isinstance(head, str) else head
    return _of(model, f"{component}/{parts}", _head_blocks(model, component, parts, bias=bias, prefix=""))


def head_subspaces(
    model: PreTrainedModel,
    *,
    heads: Sequence[Component | str] | None = None,
    parts: HeadParts = "qkvo",
    bias: bool = False,
) -> Subspace:
    """Many heads (by default all) as one subspace: one pass yields a score a row and head, split by group.

    A head named twice counts once. Trust: under grouped-query attention every head of a group is scored with the key and
    value slices that they share, so each head is right alone but their sum counts those slices several times.
    """
    anatomy = Anatomy(model)
    if heads is None:
        heads = [f"L{layer}.H{head}" for layer in range(anatomy.num_layers) for head in range(anatomy.num_heads)]
    components = [Component.parse(head) if isinstance(head, str) else head for head in heads]
    components = list(dict.fromkeys(components))
    if not components:
        raise ConfigError("no head was asked for; name at least one, such as L1.H0")
    blocks = [
        block
        for component in components
        for block in _head_blocks(model, component, parts, bias=bias, prefix=f"{component}/")
    ]
    return _of(model, f"{len(components)} heads/{parts}", blocks)


def _head_blocks(
    model: PreTrainedModel, component: Component, parts: HeadParts, *, bias: bool, prefix: str
) -> list[Block]:
    slices = Anatomy(model).head_slices(component)
    where = {role: (piece.name.rsplit(".", 1)[0], piece.index) for role, piece in slices.items() if len(role) == 1}
    joined = bias and getattr(model.get_submodule(where["q"][0]), "bias", None) is not None
    group = str(component)
    blocks = []
    if "qk" in parts:
        blocks.append(Block(name=f"{prefix}qk", outputs=(where["q"], where["k"]), bias=joined, group=group))
    if "vo" in parts:
        blocks.append(Block(name=f"{prefix}v", outputs=(where["v"],), bias=joined, group=group))
        outputs = ((where["o"][0], None),)
        blocks.append(Block(name=f"{prefix}o", outputs=outputs, input_features=where["o"][1], group=group))
    return blocks


def neuron_subspace(model: PreTrainedModel, layer: int, neurons: Sequence[int]) -> Subspace:
    """Some neurons of one MLP: their rows of the maps into them (`in`, one block a map) and their columns out (`out`)."""
    anatomy = Anatomy(model)
    down = anatomy.down_projection(layer)
    names = {module: name for name, module in model.named_modules()}
    width = _width(down)
    index = torch.tensor(sorted(set(neurons)), dtype=torch.long)
    if len(index) == 0 or int(index[0]) < 0 or int(index[-1]) >= width:
        raise ComponentNotFound(f"neurons {list(neurons)} were asked for, but L{layer} has neurons 0 to {width - 1}")
    attention = set(anatomy.attention(layer).modules())
    into = [
        names[module]
        for module in anatomy.block(layer).modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module is not down
        and module not in attention
        and _height(module) == width
    ]
    label = f"L{layer}.neurons"
    blocks = [
        Block(name=f"in/{name.rsplit('.', 1)[-1]}", outputs=((name, index),), bias=_biased(model, name), group=label)
        for name in into
    ]
    blocks.append(Block(name="out", outputs=((names[down], None),), input_features=index, group=label))
    return _of(model, f"{label}[{len(index)}]", blocks)


def direction_subspace(
    model: PreTrainedModel, layer: int, directions: Float[Tensor, "d_model direction"], *, site: str = "mlp"
) -> Subspace:
    """What a layer's MLP or attention writes along given directions, such as an SAE feature's decoder row.

    The parameters are the coordinates of the output map along the (orthonormalised) directions.

    Raises:
        ConfigError: directions of another width, not finite, or linearly dependent.
    """
    anatomy = Anatomy(model)
    if site not in ("mlp", "attn"):
        raise ConfigError(f"'{site}' writes nothing to the residual stream; choose mlp or attn")
    module = anatomy.down_projection(layer) if site == "mlp" else anatomy.out_projection(layer)
    if directions.shape[0] != anatomy.d_model or not bool(directions.isfinite().all()):
        shape = tuple(directions.shape)
        raise ConfigError(f"directions of shape {shape} were given; give finite columns of length {anatomy.d_model}")
    if directions.shape[1] > anatomy.d_model:
        raise ConfigError(
            f"{directions.shape[1]} directions cannot be independent in {anatomy.d_model} dimensions; give fewer"
        )
    basis, remainder = torch.linalg.qr(directions.double())
    if bool((remainder.diagonal().abs() < 1e-8 * remainder.abs().max()).any()):
        raise ConfigError("the directions are linearly dependent (or zero); give independent ones")
    name = next(name for name, found in model.named_modules() if found is module)
    block = Block(
        name="write", outputs=((name, None),), bias=_biased(model, name), directions=basis, group=f"L{layer}.{site}"
    )
    return _of(model, f"L{layer}.{site} along {directions.shape[1]} directions", [block])


def _of(model: PreTrainedModel, name: str, blocks: Sequence[Block]) -> Subspace:
    names = dict.fromkeys(module for block in blocks for module, _ in block.outputs)
    return Subspace(name=name, blocks=tuple(blocks), modules={found: model.get_submodule(found) for found in names})


def _width(module: nn.Module) -> int:
    weight = module.get_parameter("weight")
    return int(weight.shape[0] if isinstance(module, Conv1D) else weight.shape[1])


def _height(module: nn.Module) -> int:
    weight = module.get_parameter("weight")
    return int(weight.shape[1] if isinstance(module, Conv1D) else weight.shape[0])


def _biased(model: PreTrainedModel, name: str) -> bool:
    return getattr(model.get_submodule(name), "bias", None) is not None
