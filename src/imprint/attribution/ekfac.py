"""EK-FAC: the inverse Fisher of each block in its Kronecker eigenbasis, with per-sequence corrected eigenvalues."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.subspace import Subspace
from imprint.errors import SelfCheckFailed
from imprint.models import loss_gradients
from imprint.types import Advance, no_progress

LEAST_ROWS = 4
"""Fewest rows that factors are fitted on: two for each half of the split-half check."""


class EkfacOptions(BaseModel):
    """How the Fisher is estimated and damped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    damping_relative: float = Field(default=0.1, ge=0)
    """Added to every eigenvalue, in units of the block's mean eigenvalue."""
    damping_floor: float = Field(default=1e-5, ge=0)
    """The smallest damped eigenvalue."""
    labels: Literal["sampled", "data"] = "sampled"
    """Sampled from the model (true Fisher) or the data's own (empirical Fisher, another matrix)."""
    max_rows: int = Field(default=2000, ge=LEAST_ROWS)
    """How many rows the factors are fitted on."""
    batch: int = Field(default=64, ge=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockFactors:
    """One block's Fisher as (Q_S x Q_A) diag(eigenvalues) (Q_S x Q_A)^T, with its damping."""

    output_basis: Float[Tensor, "out out"]
    input_basis: Float[Tensor, "in in"]
    eigenvalues: Float[Tensor, "out in"]
    damping_relative: float
    damping_floor: float

    def damped(self) -> Float[Tensor, "out in"]:
        """The eigenvalues that are divided by: eigenvalue + relative x mean, at least the floor."""
        shifted = self.eigenvalues + self.damping_relative * self.eigenvalues.mean()
        return shifted.clamp(min=self.damping_floor)

    def precondition(self, gradient: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        """The damped inverse Fisher times a gradient of the block's matrix."""
        rotated = self.output_basis.T @ gradient @ self.input_basis
        return self.output_basis @ (rotated / self.damped()) @ self.input_basis.T


def fit_factors(
    model: PreTrainedModel,
    subspace: Subspace,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
    advance: Advance = no_progress,
) -> list[BlockFactors]:
    """Kronecker factors and eigenvalues of every block, from one forward-backward over `tokens`.

    A = mean over tokens of a a^T, S = mean over tokens of d d^T with d the gradient at the block's output, eigenvalues =
    mean over *sequences* of the squared rotated gradient of the summed loss (per sample, not per batch).
    Source: George et al. 2018; Grosse et al. 2023; Mechanistic Data Attribution (damping 0.1 x mean, floor 1e-5).
    Trust: blocks are taken as independent and positions as independent within A and S; an undertrained model breaks both.
    Compare with the plain dot product, which is printed beside it.
    """
    generator = torch.Generator().manual_seed(seed) if options.labels == "sampled" else None
    sums = [_Moments() for _ in subspace.blocks]
    for start in range(0, len(tokens), options.batch):
        chosen = slice(start, start + options.batch)
        batch, _ = loss_gradients(model, subspace.modules, tokens[chosen], lengths[chosen], sample_labels=generator)
        for block, moments in zip(subspace.blocks, sums, strict=True):
            moments.add(block.inputs(batch), block.deltas(batch), lengths[chosen])
        advance(len(tokens[chosen]))
    return [moments.factors(options) for moments in sums]


class _Moments:
    """Running second moments of one block, and the per-sequence gradients that its eigenvalues need."""

    def __init__(self) -> None:
        self.input_moment: Tensor | None = None
        self.output_moment: Tensor | None = None
        self.tokens = 0
        self.gradients: list[Tensor] = []

    def add(
        self, inputs: Float[Tensor, "row seq in"], deltas: Float[Tensor, "row seq out"], lengths: Int[Tensor, "row"]
    ) -> None:
        real = (torch.arange(inputs.shape[1])[None, :] < lengths[:, None])[..., None]
        inputs, deltas = inputs * real, deltas * real
        second = torch.einsum("bti,btj->ij", inputs, inputs), torch.einsum("bto,btp->op", deltas, deltas)
        self.input_moment = second[0] if self.input_moment is None else self.input_moment + second[0]
        self.output_moment = second[1] if self.output_moment is None else self.output_moment + second[1]
        self.tokens += int(lengths.sum())
        self.gradients.append(torch.einsum("bto,bti->boi", deltas, inputs))

    def factors(self, options: EkfacOptions) -> BlockFactors:
        assert self.input_moment is not None
        assert self.output_moment is not None
        input_basis = _eigenbasis(self.input_moment / self.tokens)
        output_basis = _eigenbasis(self.output_moment / self.tokens)
        rotated = (output_basis.T @ gradient @ input_basis for gradient in self.gradients)
        count = sum(len(gradient) for gradient in self.gradients)
        eigenvalues = sum((piece.square().sum(0) for piece in rotated), torch.zeros(())) / count
        return BlockFactors(
            output_basis=output_basis,
            input_basis=input_basis,
            eigenvalues=eigenvalues,
            damping_relative=options.damping_relative,
            damping_floor=options.damping_floor,
        )


def _eigenbasis(moment: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Orthonormal eigenvectors in columns, by float64 `eigh`, checked to diagonalise the moment."""
    if not bool(moment.isfinite().all()):
        raise SelfCheckFailed(
            "a Kronecker factor is not finite, so activations or gradients overflow; look for a diverged checkpoint"
        )
    symmetric = (moment.double() + moment.double().T) / 2
    ridge = 1e-6 * symmetric.diagonal().mean()
    values, basis = torch.linalg.eigh(symmetric + ridge * torch.eye(len(symmetric), dtype=torch.float64))
    remainder = (basis.T @ symmetric @ basis - torch.diag(values - ridge)).abs().max()
    if not bool(remainder <= 1e-8 * values.abs().max() + 1e-300):
        raise SelfCheckFailed(
            f"the eigenbasis of a Kronecker factor does not diagonalise it (remainder {remainder:.2e})"
        )
    orthonormal: Tensor = basis.to(moment.dtype)
    return orthonormal


def split_half(
    model: PreTrainedModel,
    subspace: Subspace,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
) -> Iterator[list[BlockFactors]]:
    """Factors fitted on the even rows and on the odd rows: scores that differ between the two are not stable."""
    for half in (0, 1):
        yield fit_factors(model, subspace, tokens[half::2], lengths[half::2], options, seed=seed + half)


def precondition(
    factors: Sequence[BlockFactors], gradient: Sequence[Float[Tensor, "_out _in"]]
) -> list[Float[Tensor, "_out _in"]]:
    """The damped inverse Fisher times a gradient, block by block."""
    return [block.precondition(piece) for block, piece in zip(factors, gradient, strict=True)]
