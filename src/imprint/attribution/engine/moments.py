"""Kronecker factors, their eigenbases, and corrected eigenvalues, each computed once for all blocks that share it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from imprint.attribution.engine.contractions import Inputs, is_table, outer
from imprint.attribution.engine.subspace import Block, Subspace
from imprint.errors import SelfCheckFailed
from imprint.models import OutputGradients


class Sides:
    """Inputs and output gradients of every block for one batch; sides that several blocks share are cut out once."""

    def __init__(self, gradients: OutputGradients, lengths: Int[Tensor, "row"]) -> None:
        """Nothing is computed until asked for; positions from a row's length on count as padding."""
        self._gradients = gradients
        self._cut: dict[str, Tensor] = {}
        first = next(iter(gradients.inputs.values()))
        real = torch.arange(first.shape[1], device=first.device)[None, :] < lengths.to(first.device)[:, None]
        self.real = None if bool(real.all()) else real

    def inputs(self, block: Block) -> Inputs:
        """The block's inputs; zero on padding, except that an embedding's token ids stay."""
        if block.input_key not in self._cut:
            whole = block.inputs(self._gradients)
            masked = whole if self.real is None or is_table(whole) else whole * self.real[..., None]
            self._cut[block.input_key] = masked
        return self._cut[block.input_key]

    def deltas(self, block: Block) -> Float[Tensor, "row seq out"]:
        """The gradient at the block's outputs, zero on padding."""
        key = f"d:{block.output_key}"
        if key not in self._cut:
            whole = block.deltas(self._gradients)
            self._cut[key] = whole if self.real is None else whole * self.real[..., None]
        return self._cut[key]

    def source(self, block: Block) -> tuple[object, ...]:
        """Equal for blocks of different modules that read one and the same tensor (q, k, v; gate and up)."""
        module, rest = block.input_key.split("/", 1)
        read = self._gradients.inputs[module]
        return read.data_ptr(), tuple(read.shape), read.stride(), rest


@dataclass(slots=True)
class _Sum:
    total: Tensor
    count: int = 0


class Moments:
    """Running second moments of every distinct input and output side."""

    def __init__(self, subspace: Subspace) -> None:
        """Empty sums; which sides are one and the same is found out at the first batch."""
        self.subspace = subspace
        self.canonical: dict[str, str] = {}
        self.sums: dict[str, _Sum] = {}

    def add(self, gradients: OutputGradients, lengths: Int[Tensor, "row"]) -> None:
        """Add a batch."""
        sides = Sides(gradients, lengths)
        if not self.canonical:
            first: dict[tuple[object, ...], str] = {}
            for block in self.subspace.blocks:
                self.canonical[block.input_key] = first.setdefault(sides.source(block), block.input_key)
        tokens, seen = int(lengths.sum()), set[str]()
        for block in self.subspace.blocks:
            source = self.canonical[block.input_key]
            if source not in seen:
                columns = self.subspace.block_shape(block)[1]
                self._include(source, _input_moment(sides, block, columns), tokens)
            if (output := f"d:{block.output_key}") not in seen:
                self._include(output, _second_moment(sides.deltas(block)), tokens)
            seen |= {source, output}

    def _include(self, key: str, moment: Tensor, tokens: int) -> None:
        wide = moment.double() if moment.dtype == torch.float64 else moment.float()
        if key not in self.sums:
            self.sums[key] = _Sum(torch.zeros_like(wide))
        self.sums[key].total += wide
        self.sums[key].count += tokens

    def mean(self, key: str) -> Tensor:
        """The mean over real positions of the outer product, or of the one-hot vector of an embedding."""
        return self.sums[key].total / self.sums[key].count


def _second_moment(states: Float[Tensor, "row seq feature"]) -> Float[Tensor, "feature feature"]:
    flat = states.flatten(0, 1)
    return flat.T @ flat


def _input_moment(sides: Sides, block: Block, columns: int) -> Tensor:
    inputs = sides.inputs(block)
    if not is_table(inputs):
        return _second_moment(inputs)
    ids = inputs.flatten() if sides.real is None else inputs[sides.real]
    return torch.bincount(ids, minlength=columns).double()


class Rotations:
    """Eigenbases of all sides; each is computed once, by float64 `eigh`."""

    def __init__(self, moments: Moments) -> None:
        """Decompose every moment.

        Raises:
            SelfCheckFailed: a moment is not finite, or a basis does not diagonalise it.
        """
        self._canonical = moments.canonical
        self._bases = {
            key: None if s.total.ndim == 1 else eigenbasis(moments.mean(key)) for key, s in moments.sums.items()
        }

    def input_key(self, block: Block) -> str:
        """The name of the block's input basis."""
        return self._canonical[block.input_key]

    def input_basis(self, block: Block) -> Float[Tensor, "in in"] | None:
        """Eigenvectors in columns, or None for an embedding, whose tokens are the basis."""
        return self._bases[self.input_key(block)]

    def output_basis(self, block: Block) -> Float[Tensor, "out out"]:
        """Eigenvectors in columns."""
        basis = self._bases[f"d:{block.output_key}"]
        assert basis is not None
        return basis


def eigenbasis(moment: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Orthonormal eigenvectors in columns, by float64 `eigh`, checked to diagonalise the moment."""
    if not bool(moment.isfinite().all()):
        raise SelfCheckFailed(
            "a Kronecker factor is not finite, so activations or gradients overflow; look for a diverged checkpoint"
        )
    symmetric = (moment.double() + moment.double().T) / 2
    ridge = 1e-6 * symmetric.diagonal().mean()
    values, basis = torch.linalg.eigh(
        symmetric + ridge * torch.eye(len(symmetric), dtype=torch.float64, device=moment.device)
    )
    remainder = (basis.T @ symmetric @ basis - torch.diag(values - ridge)).abs().max()
    if not bool(remainder <= 1e-8 * values.abs().max() + 1e-300):
        raise SelfCheckFailed(
            f"the eigenbasis of a Kronecker factor does not diagonalise it (remainder {remainder:.2e})"
        )
    orthonormal: Tensor = basis.to(moment.dtype).contiguous()
    return orthonormal


class Spectrum:
    """Corrected eigenvalues: the mean over sequences (or tokens) of the squared gradient in the eigenbasis."""

    def __init__(self, subspace: Subspace, rotations: Rotations, *, per_token: bool) -> None:
        """Empty sums, one for the even and one for the odd batches."""
        self.subspace, self.rotations, self.per_token = subspace, rotations, per_token
        self._sums: list[list[Tensor | None]] = [[None, None] for _ in subspace.blocks]
        self._rows = [0, 0]
        self._cast: dict[str, Tensor] = {}

    def add(self, gradients: OutputGradients, lengths: Int[Tensor, "row"]) -> None:
        """Add a batch of rows, alternately to one half and the other."""
        sides = Sides(gradients, lengths)
        half = 0 if self._rows[0] <= self._rows[1] else 1
        self._rows[half] += len(lengths)
        rotated: dict[str, Tensor] = {}
        for number, block in enumerate(self.subspace.blocks):
            squares = self._squares(block, sides, rotated)
            before = self._sums[number][half]
            self._sums[number][half] = squares if before is None else before.add_(squares)

    def _squares(self, block: Block, sides: Sides, rotated: dict[str, Tensor]) -> Float[Tensor, "out in"]:
        inputs = sides.inputs(block)
        deltas = self._rotated(
            f"d:{block.output_key}", sides.deltas(block), self.rotations.output_basis(block), rotated
        )
        basis = self.rotations.input_basis(block)
        wide = torch.float64 if deltas.dtype == torch.float64 else torch.float32
        if basis is not None:
            inputs = self._rotated(self.rotations.input_key(block), inputs, basis, rotated)
            if self.per_token:
                return (deltas.flatten(0, 1).square().T @ inputs.flatten(0, 1).square()).to(wide)
        columns = self.subspace.block_shape(block)[1]
        if basis is None and self.per_token:
            return outer(inputs.reshape(1, -1), deltas.flatten(0, 1).square()[None], columns)[0].to(wide)
        return outer(inputs, deltas, columns).square_().sum(0, dtype=wide)

    def _rotated(self, key: str, states: Tensor, basis: Tensor, rotated: dict[str, Tensor]) -> Tensor:
        if key not in rotated:
            if key not in self._cast:
                self._cast[key] = basis.to(states.dtype)
            rotated[key] = states @ self._cast[key]
        return rotated[key]

    def eigenvalues(self, number: int) -> Float[Tensor, "out in"]:
        """Those of a block, over all rows."""
        parts = [part for part in self._sums[number] if part is not None]
        return torch.stack(parts).sum(0) / sum(self._rows)

    def halves(self, number: int) -> Float[Tensor, "half out in"] | None:
        """Those of the two halves apart, or None with a single batch."""
        one, other = self._sums[number]
        if one is None or other is None:
            return None
        return torch.stack([one / self._rows[0], other / self._rows[1]])
