"""EK-FAC: the inverse Fisher of each block in its Kronecker eigenbasis, with per-sequence corrected eigenvalues."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.attribution.engine.moments import Moments, Rotations, Spectrum
from imprint.attribution.engine.subspace import Subspace
from imprint.models import OutputGradients, loss_gradients
from imprint.types import Advance, no_progress

Batch = tuple[OutputGradients, Int[Tensor, "row"]]
LEAST_ROWS = 4
"""Fewest rows that factors are fitted on: two for each half of the split-half check."""


class EkfacOptions(BaseModel):
    """How the Fisher is estimated and damped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    damping_relative: float = Field(default=0.1, ge=0)
    """Added to every eigenvalue, in units of the block's mean eigenvalue."""
    damping_absolute: float = Field(default=0.0, ge=0)
    """Added to every eigenvalue as it stands (kronfluence's default is 1e-8, with `damping_relative` and floor 0)."""
    damping_floor: float = Field(default=1e-5, ge=0)
    """The smallest damped eigenvalue."""
    damping_sweep: tuple[float, ...] = ()
    """Relative dampings whose ranking is compared with the one in use; the agreements stand beside the self-checks."""
    labels: Literal["sampled", "data"] = "sampled"
    """Sampled from the model (true Fisher) or the data's own (empirical Fisher, another matrix)."""
    eigenvalues: Literal["sequence", "token"] = "sequence"
    """Corrected by the squared gradient of each sequence, or of each position as if positions were independent."""
    max_rows: int = Field(default=2000, ge=LEAST_ROWS)
    """How many rows the factors are fitted on."""
    basis_share: float = Field(default=1.0, gt=0, le=1)
    """Share of those rows that the eigenbases are fitted on; eigenvalues always see all of them."""
    batch: int = Field(default=64, ge=1)
    keep_bytes: int = Field(default=256 << 20, ge=0)
    """Activations and gradients are kept for the eigenvalues up to this size; beyond it, a second pass computes them anew."""
    precision: Literal["model", "float32", "bfloat16"] = "model"
    """Of activations, gradients and products in the passes over the rows; queries keep the model's own. In bfloat16 the
    fit suffers more than the scores as a model is trained (measured Spearman to float32 .999 at first, .89 overfitted)."""
    token_energy: float = Field(default=1.0, gt=0, le=1)
    """Token scores leave out the output directions that carry less than the rest of this share of the expected energy."""
    stability: Literal["refit", "eigenvalues"] = "refit"
    """Split-half check: both halves fitted anew (for small subspaces), or eigenvalues of halves in the common basis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockFactors:
    """One block's Fisher as (Q_S x Q_A) diag(eigenvalues) (Q_S x Q_A)^T, with its damping."""

    output_basis: Float[Tensor, "out out"]
    input_basis: Float[Tensor, "in in"] | None
    """None stands for the identity: an embedding's tokens."""
    eigenvalues: Float[Tensor, "out in"]
    damping_relative: float
    damping_floor: float
    damping_absolute: float = 0.0
    halves: Float[Tensor, "half out in"] | None = None
    """Eigenvalues of the even and of the odd batches alone, in the same basis."""

    def damped(self) -> Float[Tensor, "out in"]:
        """The eigenvalues that are divided by: eigenvalue + relative x mean + absolute, at least the floor."""
        shifted = self.eigenvalues + self.damping_relative * self.eigenvalues.mean() + self.damping_absolute
        return shifted.clamp(min=self.damping_floor)

    def precondition(
        self, gradient: Float[Tensor, "*query out in"], *, back_in: torch.dtype | None = None
    ) -> Float[Tensor, "*query out in"]:
        """The damped inverse Fisher times gradients of the block's matrix.

        After the division, which amplifies rounding, the way back may be in a narrower type, that of the result.
        """
        gradient = gradient.to(self.output_basis)
        rotated = self.output_basis.T @ gradient
        dtype = gradient.dtype if back_in is None else back_in
        if self.input_basis is None:
            return self.output_basis.to(dtype) @ (rotated / self.damped()).to(dtype)
        solved = (rotated @ self.input_basis / self.damped()).to(dtype)
        return self.output_basis.to(dtype) @ solved @ self.input_basis.T.to(dtype)


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
    """Kronecker factors and eigenvalues of every block, in the model's precision.

    A = mean over tokens of a a^T, S = mean over tokens of d d^T with d the gradient at the block's output, eigenvalues =
    mean over *sequences* of the squared rotated gradient of the summed loss (per sample, not per batch). Blocks that
    read the same input share one A. The memory budget changes the time, never the result: labels are drawn again as
    they were.
    Source: George et al. 2018; Grosse et al. 2023; Mechanistic Data Attribution (damping 0.1 x mean, floor 1e-5).
    Trust: blocks are taken as independent and positions as independent within A and S; an undertrained model breaks both.
    Compare with the plain dot product, which is printed beside it.
    """
    draws, lengths = _draws(tokens, options, seed), lengths.cpu()

    def batches(rows: Int[Tensor, "row"]) -> Iterator[tuple[Batch, Int[Tensor, "row"]]]:
        for start in range(0, len(rows), options.batch):
            chosen = rows[start : start + options.batch]
            uniform = None if draws is None else draws[chosen]
            found, _ = loss_gradients(model, subspace.modules, tokens[chosen], lengths[chosen], draws=uniform)
            yield (found, lengths[chosen]), chosen

    every, in_basis = torch.arange(len(tokens)), _basis_rows(len(tokens), options.basis_share)
    moments, kept = Moments(subspace), list[Batch]()
    one_row = next(batches(every[:1]))[0][0].nbytes
    keep = one_row * len(tokens) <= options.keep_bytes
    for (gradients, sizes), chosen in batches(every if keep else every[in_basis]):
        moments.add(gradients, sizes * in_basis[chosen])
        if keep:
            kept.append((gradients, sizes))
        advance(len(chosen) if keep else len(chosen) // 2)
    rotations = Rotations(moments)
    spectrum = Spectrum(subspace, rotations, per_token=options.eigenvalues == "token")
    for batch in kept:
        spectrum.add(*batch)
    for (gradients, sizes), chosen in () if keep else batches(every):
        spectrum.add(gradients, sizes)
        advance(len(chosen) - len(chosen) // 2)
    return [
        BlockFactors(
            output_basis=rotations.output_basis(block),
            input_basis=rotations.input_basis(block),
            eigenvalues=spectrum.eigenvalues(number),
            halves=spectrum.halves(number),
            damping_relative=options.damping_relative,
            damping_absolute=options.damping_absolute,
            damping_floor=options.damping_floor,
        )
        for number, block in enumerate(subspace.blocks)
    ]


def at_precision(model: PreTrainedModel, options: EkfacOptions) -> PreTrainedModel:
    """The model itself, or a copy of it in the precision asked for."""
    dtype = model.dtype if options.precision == "model" else getattr(torch, options.precision)
    if model.dtype == dtype:
        return model
    twin = copy.deepcopy(model)
    nn.Module.to(twin, dtype)
    return twin


def _basis_rows(rows: int, share: float) -> Bool[Tensor, "row"]:
    """Which rows the bases are fitted on: evenly spread, whatever the batches."""
    steps = (torch.arange(rows + 1, dtype=torch.float64) * share + 1e-9).floor()
    chosen = steps.diff() > 0
    chosen[0] = True
    return chosen


def _draws(tokens: Int[Tensor, "row seq_plus_1"], options: EkfacOptions, seed: int) -> Float[Tensor, "row seq"] | None:
    """One uniform number a position: sampled labels that no batch size and no second pass can change."""
    if options.labels == "data":
        return None
    return torch.rand(len(tokens), tokens.shape[1] - 1, generator=torch.Generator().manual_seed(seed))


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


def eigenvalue_halves(factors: Sequence[BlockFactors]) -> tuple[list[BlockFactors], list[BlockFactors]] | None:
    """The same bases with the eigenvalues of the even and of the odd batches; None where there was one batch only."""
    if any(block.halves is None for block in factors):
        return None
    one, other = (
        [replace(block, eigenvalues=block.halves[half], halves=None) for block in factors if block.halves is not None]
        for half in (0, 1)
    )
    return one, other


def precondition(
    factors: Sequence[BlockFactors], gradient: Sequence[Float[Tensor, "*query _out _in"]]
) -> list[Float[Tensor, "*query _out _in"]]:
    """The damped inverse Fisher times a gradient (or a stack of them), block by block."""
    return [block.precondition(piece) for block, piece in zip(factors, gradient, strict=True)]
