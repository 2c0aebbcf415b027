"""Run a model from one block on: the blocks below are skipped, and their recorded states enter in their place.

Whatever happens at or above a block leaves everything below it as it was, so a sweep over many interventions needs the
lower blocks once. Blocks are counted in the order in which they run: in a model with one tower depth and layer are the
same number, in T5 the encoder's blocks come first and the decoder's follow (depth 3 of a 2 + 3 model is decoder.L1).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import ComponentNotFound, ConfigError, ModelError
from imprint.models.batches import on_model
from imprint.models.components import Anatomy, Component
from imprint.models.hooks import evaluating

BlockOutput = Tensor | tuple[Tensor | None, ...]
"""What a block returns: its states, or a tuple that starts with them (T5 adds the position biases of the tower)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PrefixStates:
    """What the blocks below depth `layer` hand on for one batch: by tower, the output of its last skipped block."""

    layer: int
    outputs: Mapping[str, BlockOutput]

    @property
    def hidden(self) -> Float[Tensor, "batch seq d_model"]:
        """The residual stream that enters block `layer`; `ConfigError` at depth 0, where nothing is skipped."""
        if not self.outputs:
            raise ConfigError(
                "Nothing is skipped at layer 0, so no states are kept there; record L0.resid_pre instead."
            )
        return _states_of(list(self.outputs.values())[-1])

    def tile(self, copies: int) -> "PrefixStates":
        """The same states for the batch repeated `copies` times (rows 0..n-1, 0..n-1, ...)."""
        return replace(self, outputs={name: _tiled(output, copies) for name, output in self.outputs.items()})


def _states_of(output: BlockOutput) -> Tensor:
    found = output if isinstance(output, Tensor) else output[0]
    assert found is not None
    return found


def _tiled(output: BlockOutput, copies: int) -> BlockOutput:
    if isinstance(output, Tensor):
        return output.repeat(copies, 1, 1)
    # T5's position biases have one row, which serves every row of a batch.
    return (_states_of(output).repeat(copies, 1, 1), *output[1:])


def depth(model: PreTrainedModel) -> int:
    """How many blocks run one after the other, in all towers: the number of layers, or encoder plus decoder layers."""
    return len(_order(Anatomy(model)))


def depth_of(model: PreTrainedModel, component: str | Component) -> int:
    """The first block whose computation changes when a component is edited; `depth(model)` if no block's does.

    An edit of "L3.resid_post" is felt by block 4 first, any other part of layer 3 by block 3 itself, "embed" by block 0.
    `resumed` at this depth, or below it, then computes what the full forward pass computes.
    """
    anatomy = Anatomy(model)
    found = anatomy.find(component)
    if found.layer is None:
        shared = len({id(anatomy.embedding(stack)) for stack in anatomy.stacks}) < len(anatomy.stacks)
        return 0 if shared else _order(anatomy).index((found.stack, 0))
    return _order(anatomy).index((found.stack, found.layer)) + (found.site == "resid_post")


def _order(anatomy: Anatomy) -> list[tuple[str, int]]:
    return [(stack, layer) for stack in anatomy.stacks for layer in range(len(anatomy.layers(stack)))]


def _skipped(anatomy: Anatomy, layer: int) -> dict[str, int]:
    """By tower, how many of its blocks lie below depth `layer`."""
    order = _order(anatomy)
    if not 0 <= layer <= len(order):
        raise ComponentNotFound(f"Layer {layer} was asked to resume from, but the model has layers 0 to {len(order)}.")
    counts: dict[str, int] = {}
    for stack, _ in order[:layer]:
        counts[stack] = counts.get(stack, 0) + 1
    return counts


class _Reached(Exception):
    """Ends a forward pass at the last block that is wanted."""


def prefix_states(model: PreTrainedModel, layer: int, batch: Mapping[str, Any]) -> PrefixStates:
    """The states that enter block `layer` (the residual stream before it) for one batch of model arguments.

    Only the blocks below run, without gradients, dropout or unembedding. Hooks on the last of them act later, when
    `resumed` hands the states on, so that an edit of its output is not made twice.
    """
    return prefixes(model, [layer], batch)[layer]


@torch.no_grad()
def prefixes(model: PreTrainedModel, layers: Sequence[int], batch: Mapping[str, Any]) -> dict[int, PrefixStates]:
    """`prefix_states` of several layers from one forward pass that stops at the highest of them.

    `ComponentNotFound` for a layer that the model does not have; `ModelError` if the pass never came that far.
    """
    anatomy = Anatomy(model)
    wanted = {layer: _skipped(anatomy, layer) for layer in layers}
    outputs: dict[tuple[str, int], BlockOutput] = {}
    last = _order(anatomy)[max(layers) - 1] if max(layers, default=0) else None
    if last is not None:
        needed = {(stack, count - 1) for counts in wanted.values() for stack, count in counts.items()}
        with evaluating(model), ExitStack() as handles:
            for stack, block in needed:
                hook = _keeper(outputs, (stack, block), keep_rest=len(anatomy.stacks) > 1, stop=(stack, block) == last)
                module = anatomy.block(block, stack)
                handles.callback(module.register_forward_hook(hook, prepend=True).remove)
            try:
                model(**on_model(model, batch))
            except _Reached:
                pass
            else:
                raise ModelError(
                    f"The forward pass ended before block {last[1]} of the model had run; nothing to keep."
                )
    return {layer: PrefixStates(layer=layer, outputs=_at(counts, outputs)) for layer, counts in wanted.items()}


def _at(counts: Mapping[str, int], outputs: Mapping[tuple[str, int], BlockOutput]) -> dict[str, BlockOutput]:
    places = {stack: (stack, count - 1) for stack, count in counts.items()}
    return {stack: outputs[place] for stack, place in places.items() if place in outputs}


def _keeper(outputs: dict[tuple[str, int], BlockOutput], place: tuple[str, int], *, keep_rest: bool, stop: bool) -> Any:
    def keep(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[place] = output.detach()
        else:
            rest = (None if part is None or not keep_rest else part.detach() for part in output[1:])
            outputs[place] = (output[0].detach(), *rest)
        if stop:
            raise _Reached

    return keep


@contextmanager
def resumed(model: PreTrainedModel, layer: int, states: PrefixStates) -> Iterator[None]:
    """Let forward passes inside the block start at block `layer`, from `states` of the same batch (`prefix_states`).

    Call the model with the same batch as ever, `use_cache=False`: masks and positions are made anew, the blocks below
    are skipped. At layer 0 nothing is skipped and the whole model runs. Logits equal the full pass's, to the last bit
    or so. Hooks inside skipped blocks cannot fire: to attach one to a skipped block raises `ModelError`, except at the
    output of the last of them, where the states come from ("L3.resid_post" under `resumed` at 4). The model is given
    its blocks back at the end, also after an exception. `ModelError` if a batch has other rows or another length.

    Trust: the states are those of the batch they were recorded with; of another batch of the same shape only you know.
    """
    if states.layer != layer:
        raise ConfigError(
            f"These states enter at layer {states.layer}, not at {layer}; record them with prefix_states."
        )
    anatomy = Anatomy(model)
    counts = _skipped(anatomy, layer)
    with ExitStack() as undo:
        if model.training:
            undo.enter_context(evaluating(model))
        for stack, output in states.outputs.items():
            blocks = anatomy.layers(stack)
            for index in range(counts[stack]):
                original = blocks[index]
                undo.callback(blocks.__setitem__, index, original)
                blocks[index] = _StandIn(original, output, emits=index == counts[stack] - 1)
        yield


class _StandIn(nn.Module):
    """Takes the place of a skipped block: passes states on, or emits the recorded ones, in the block's return type."""

    def __init__(self, original: nn.Module, output: BlockOutput, *, emits: bool) -> None:
        super().__init__()
        self.__dict__["_original"] = original  # not a submodule: its parts must not be found, hooked and never run
        self.__dict__["_output"] = output
        self.__dict__["_emits"] = emits
        self.training = original.training
        if emits:  # hooks at this block's output act on what is emitted, whether they came before or come now
            self._forward_hooks = original._forward_hooks
            self._forward_hooks_with_kwargs = original._forward_hooks_with_kwargs
            self._forward_hooks_always_called = original._forward_hooks_always_called

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_original"], name)

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Any:
        output = cast(BlockOutput, self._output)
        if not self._emits:
            return hidden_states if isinstance(output, Tensor) else (hidden_states, *(None for _ in output[1:]))
        states = _states_of(output)
        if hidden_states.shape != states.shape:
            raise ModelError(
                f"The recorded states are of a batch of shape {tuple(states.shape[:2])}, the forward pass is of "
                f"{tuple(hidden_states.shape[:2])}; resume with the batch that the states were recorded for."
            )
        return output

    def register_forward_hook(self, *args: Any, **kwargs: Any) -> Any:
        return super().register_forward_hook(*args, **kwargs) if self._emits else self._refuse()

    def register_forward_pre_hook(self, *_: Any, **__: Any) -> Any:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ModelError(
            "A block that is skipped inside `resumed` cannot be read or edited; resume from the layer that "
            "entry_layer(model, interventions) gives, or lower."
        )
