"""A head's own parameters as Kronecker blocks: joint QK, V and O, sliced from whatever modules the family uses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.models import Anatomy, Component, OutputGradients

HeadParts = Literal["qkvo", "qk", "vo"]
"""Which of a head's matrices are attributed: all (induction heads), queries and keys (previous-token heads), values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Rows of one or more modules that read the same input: one matrix [out, in] with its own Kronecker factors."""

    name: str
    outputs: tuple[tuple[str, Int[Tensor, "feature"] | None], ...]
    """(module name, output features kept); the features of several modules are concatenated."""
    input_features: Int[Tensor, "feature"] | None = None
    """Input features kept; None keeps all."""

    def inputs(self, gradients: OutputGradients) -> Float[Tensor, "row seq in"]:
        """The block's input activations."""
        whole = gradients.inputs[self.outputs[0][0]]
        return whole if self.input_features is None else whole[..., self.input_features]

    def deltas(self, gradients: OutputGradients) -> Float[Tensor, "row seq out"]:
        """The gradient at the block's outputs."""
        parts = [
            gradients.deltas[name] if kept is None else gradients.deltas[name][..., kept] for name, kept in self.outputs
        ]
        return torch.cat(parts, dim=-1)

    def matrix_gradient(self, gradients: OutputGradients) -> Float[Tensor, "row out in"]:
        """Each row's gradient with respect to the block's matrix."""
        return torch.einsum("bto,bti->boi", self.deltas(gradients), self.inputs(gradients))


@dataclass(frozen=True, kw_only=True, slots=True)
class Subspace:
    """A set of blocks of one model, and the modules that have to be captured to see them."""

    name: str
    blocks: tuple[Block, ...]
    modules: dict[str, nn.Module]

    def gradients(self, batch: OutputGradients) -> list[Float[Tensor, "row _out _in"]]:
        """Each row's gradient, one matrix per block."""
        return [block.matrix_gradient(batch) for block in self.blocks]

    def on(self, model: PreTrainedModel) -> "Subspace":
        """The same subspace of another model of the same architecture (a checkpoint, a double-precision copy)."""
        return Subspace(
            name=self.name, blocks=self.blocks, modules={name: model.get_submodule(name) for name in self.modules}
        )

    @contextmanager
    def shifted(self, directions: Sequence[Float[Tensor, "_out _in"]], scale: float) -> Iterator[None]:
        """Add `scale * directions` to the parameters while the block runs, then restore them bit for bit."""
        saved = {name: weight.detach().clone() for name, weight in self._weights()}
        try:
            with torch.no_grad():
                for block, direction in zip(self.blocks, directions, strict=True):
                    self._add(block, scale * direction)
            yield
        finally:
            with torch.no_grad():
                for name, weight in self._weights():
                    weight.copy_(saved[name])

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        for name, module in self.modules.items():
            weight = module.weight
            assert isinstance(weight, Tensor)
            yield name, weight

    def _add(self, block: Block, change: Float[Tensor, "out in"]) -> None:
        start = 0
        for name, kept in block.outputs:
            matrix = weight_matrix(self.modules[name])
            rows = torch.arange(matrix.shape[0]) if kept is None else kept
            columns = torch.arange(matrix.shape[1]) if block.input_features is None else block.input_features
            matrix[rows[:, None], columns[None, :]] += change[start : start + len(rows)].to(matrix.dtype)
            start += len(rows)


def weight_matrix(module: nn.Module, like: Tensor | None = None) -> Float[Tensor, "out in"]:
    """A module's weight (or a tensor shaped like it) as a view [out, in]: GPT-2's Conv1D stores it transposed."""
    weight = module.weight if like is None else like
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(module, Conv1D) else weight


def head_subspace(model: PreTrainedModel, head: Component | str, parts: HeadParts = "qkvo") -> Subspace:
    """One attention head's own slices of Q, K, V and O as blocks `qk` (joint), `v` and `o`; biases are left out.

    Under grouped-query attention the key and value slices are those of the head's group, shared with its other heads.
    Source: Mechanistic Data Attribution, core/ekfac_blocks. Trust: EK-FAC is not invariant under the bilinear symmetry
    W_Q -> W_Q M, W_K -> W_K M^-T, so scores depend on the parametrisation that training found.
    """
    component = Component.parse(head) if isinstance(head, str) else head
    slices = Anatomy(model).head_slices(component)
    where = {role: (piece.name.rsplit(".", 1)[0], piece.index) for role, piece in slices.items() if len(role) == 1}
    blocks = []
    if "qk" in parts:
        blocks.append(Block(name="qk", outputs=(where["q"], where["k"])))
    if "vo" in parts:
        blocks.append(Block(name="v", outputs=(where["v"],)))
        blocks.append(Block(name="o", outputs=((where["o"][0], None),), input_features=where["o"][1]))
    names = dict.fromkeys(name for block in blocks for name, _ in block.outputs)
    return Subspace(
        name=f"{component}/{parts}", blocks=tuple(blocks), modules={name: model.get_submodule(name) for name in names}
    )
