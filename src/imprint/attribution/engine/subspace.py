"""A subspace of a model's parameters as Kronecker blocks: rows and columns of the modules that hold them."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from imprint.attribution.engine.contractions import outer
from imprint.models import OutputGradients, loss_gradients


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, weakref_slot=True)
class Block:
    """Rows of one or more modules that read the same input: one matrix [out, in] with its own Kronecker factors.

    With `bias` the matrix has one more column, the bias. With `directions` its rows are coordinates along these
    orthonormal output directions. Of an embedding the columns are the tokens of the vocabulary.
    """

    name: str
    outputs: tuple[tuple[str, Int[Tensor, "feature"] | None], ...]
    """(module name, output features kept); the features of several modules are concatenated."""
    input_features: Int[Tensor, "feature"] | None = None
    """Input features kept; None keeps all."""
    bias: bool = False
    directions: Float[Tensor, "out direction"] | None = None
    padding: int | None = None
    """Of an embedding, the token whose row is never trained (`padding_idx`)."""
    group: str = ""
    """What scores can be split by: a head, a module, a layer."""

    @property
    def input_key(self) -> str:
        """Equal for blocks that read the same features of the same module, so that their factor is computed once."""
        return _keys(self)[0]

    @property
    def output_key(self) -> str:
        """Equal for blocks that write the same features of the same modules."""
        return _keys(self)[1]

    def inputs(self, gradients: OutputGradients) -> Shaped[Tensor, "row seq *_in"]:
        """The block's input activations, with a one appended where it has a bias; of an embedding, the token ids."""
        whole = gradients.inputs[self.outputs[0][0]]
        kept = whole if self.input_features is None else whole[..., self.input_features]
        return torch.cat([kept, torch.ones_like(kept[..., :1])], dim=-1) if self.bias else kept

    def deltas(self, gradients: OutputGradients) -> Float[Tensor, "row seq out"]:
        """The gradient at the block's outputs."""
        parts = [
            gradients.deltas[name] if kept is None else gradients.deltas[name][..., kept] for name, kept in self.outputs
        ]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        if self.padding is not None:
            whole = whole * (gradients.inputs[self.outputs[0][0]] != self.padding)[..., None]
        return whole if self.directions is None else whole @ self.directions.to(whole)


_KEYS: WeakKeyDictionary[Block, tuple[str, str]] = WeakKeyDictionary()


def _keys(block: Block) -> tuple[str, str]:
    """Names of what a block reads and of what it writes, from the content of its features; computed once a block."""
    if block not in _KEYS:
        reads = f"{block.outputs[0][0]}/{_digest(block.input_features)}/{block.bias}"
        parts = [f"{name}/{_digest(kept)}" for name, kept in block.outputs]
        _KEYS[block] = reads, "+".join([*parts, _digest(block.directions)])
    return _KEYS[block]


def _digest(values: Tensor | None) -> str:
    return "" if values is None else hashlib.sha256(values.contiguous().cpu().numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subspace:
    """A set of blocks of one model, and the modules that have to be captured to see them."""

    name: str
    blocks: tuple[Block, ...]
    modules: dict[str, nn.Module]

    @property
    def groups(self) -> tuple[str, ...]:
        """The names by which scores can be split, in the order of the blocks."""
        return tuple(dict.fromkeys(block.group or block.name for block in self.blocks))

    def block_shape(self, block: Block) -> tuple[int, int]:
        """(out, in) of a block's matrix."""
        rows = sum(
            weight_matrix(self.modules[name]).shape[0] if kept is None else len(kept) for name, kept in block.outputs
        )
        whole = weight_matrix(self.modules[block.outputs[0][0]]).shape[1]
        columns = (whole if block.input_features is None else len(block.input_features)) + block.bias
        return (rows if block.directions is None else block.directions.shape[1]), columns

    def gradients(self, batch: OutputGradients) -> list[Float[Tensor, "row _out _in"]]:
        """Each row's gradient, one matrix per block."""
        return [outer(block.inputs(batch), block.deltas(batch), self.block_shape(block)[1]) for block in self.blocks]

    def on(self, model: PreTrainedModel) -> "Subspace":
        """The same subspace of another model of the same architecture (a checkpoint, a double-precision copy)."""
        return Subspace(
            name=self.name, blocks=self.blocks, modules={name: model.get_submodule(name) for name in self.modules}
        )

    @contextmanager
    def shifted(self, directions: Sequence[Float[Tensor, "_out _in"]], scale: float) -> Iterator[None]:
        """Add `scale * directions` to the parameters while the block runs, then restore them bit for bit."""
        saved = [(parameter, parameter.detach().clone()) for parameter in self._parameters()]
        try:
            with torch.no_grad():
                for block, direction in zip(self.blocks, directions, strict=True):
                    self._add(block, scale * direction)
            yield
        finally:
            with torch.no_grad():
                for parameter, before in saved:
                    parameter.copy_(before)

    def _parameters(self) -> Iterator[Tensor]:
        for module in self.modules.values():
            for name in ("weight", "bias"):
                parameter = getattr(module, name, None)
                if isinstance(parameter, Tensor):
                    yield parameter

    def _add(self, block: Block, change: Float[Tensor, "out in"]) -> None:
        if block.directions is not None:
            change = block.directions.to(change) @ change
        weights = change[:, :-1] if block.bias else change
        start = 0
        for name, kept in block.outputs:
            module = self.modules[name]
            matrix = weight_matrix(module)
            rows = torch.arange(matrix.shape[0], device=matrix.device) if kept is None else kept.to(matrix.device)
            chosen = slice(start, start + len(rows))
            if block.input_features is None:
                matrix[rows] += weights[chosen].to(matrix)
            else:
                matrix[rows[:, None], block.input_features[None, :].to(matrix.device)] += weights[chosen].to(matrix)
            if block.bias:
                module.get_parameter("bias")[rows] += change[chosen, -1].to(matrix)
            start += len(rows)


def weight_matrix(module: nn.Module, like: Tensor | None = None) -> Float[Tensor, "out in"]:
    """A module's weight (or a tensor shaped like it) as a view [out, in]: Conv1D and Embedding store it transposed."""
    weight = module.weight if like is None else like
    assert isinstance(weight, Tensor)
    return weight.T if isinstance(module, Conv1D | nn.Embedding) else weight


def row_gradients(
    model: PreTrainedModel,
    subspace: Subspace,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
) -> list[Float[Tensor, "row _out _in"]]:
    """Each row's gradient of its summed next-token loss (nats), one matrix a block."""
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    return subspace.gradients(captured)
