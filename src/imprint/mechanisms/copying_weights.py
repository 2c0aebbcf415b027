"""Copying from the weights alone: the signs of the eigenvalues of W_E W_V W_O W_U, without a vocabulary-squared matrix."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ModelError
from imprint.mechanisms.induction import exceedance
from imprint.mechanisms.ov_circuit import attention_norm, behind_norm, readout
from imprint.models import Anatomy

_ZERO = 1e-9
"""An eigenvalue below this part of the largest one of its head counts as zero."""
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyingWeights:
    """The eigenvalue scores of one head; a number of the weights, without sampling error."""

    head: str
    ratio: float
    """Sum of eigenvalues / sum of their absolute values, in [-1, 1]; 1 = all positive, 0 = as many negative (Elhage et al.)."""
    positive: float
    """Share of the non-zero eigenvalues whose real part is positive, in [0, 1]."""
    p: float
    """Of the ratio, against the largest ratio of any head when embeddings and unembeddings of tokens are shuffled."""


def copying_weights(model: PreTrainedModel, *, draws: int = 19, seed: int = 0) -> list[CopyingWeights]:
    """Copying scores of every head from the eigenvalues of its full OV circuit (token read to logit raised).

    The circuit is W_U W_O W_V W_E, with the gains and the centring of the attention's norm and the final norm folded in and
    the unembedding less its mean over tokens. Its non-zero eigenvalues are those of a d_head x d_head matrix.

    Source: Elhage et al. 2021, "A mathematical framework", copying heads (the formula from memory).

    Raises:
        ModelError: as in `ov_eigenvalues`.

    Trust: reads the embedding as if nothing lay between it and the head, so it says little of heads above layer 1 or above
    MLPs; norm scales, which differ by token, and biases are left out. Compare with `copying_probe`.
    """
    values = ov_eigenvalues(model)
    ratios = _ratio(values)
    positive = _share_positive(values)
    null = copying_weights_null(model, draws=draws, seed=seed)
    names = [str(head) for head in Anatomy(model).heads()]
    return [
        CopyingWeights(head=name, ratio=float(ratio), positive=float(share), p=exceedance(float(ratio), null))
        for name, ratio, share in zip(names, ratios.flatten(), positive.flatten(), strict=True)
    ]


def copying_weights_null(model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
    """The largest ratio of any head when token i's embedding is paired with the unembedding of a random other token."""
    rng = np.random.default_rng(seed)
    vocabulary = Anatomy(model).unembedding().get_parameter("weight").shape[0]
    orders = [torch.from_numpy(rng.permutation(vocabulary)) for _ in range(draws)]
    return torch.stack([_ratio(ov_eigenvalues(model, order)).max() for order in orders])


@torch.no_grad()
def ov_eigenvalues(
    model: PreTrainedModel, order: Int[Tensor, "vocabulary"] | None = None
) -> Complex[Tensor, "layer head d_head"]:
    """The d_head eigenvalues of every head's full OV circuit that may differ from zero.

    `order` pairs token i's embedding with the unembedding of token `order[i]`.

    Raises:
        ModelError: embeddings and unembeddings of different sizes, or a model without a linear direct path (OLMo-2).
    """
    anatomy = Anatomy(model)
    pairing = _pairing(model, order)
    layers = []
    for layer in range(anatomy.num_layers):
        inner = behind_norm(attention_norm(model, layer), pairing.T).T
        layers.append(torch.stack([_inner(anatomy, layer, head, inner) for head in range(anatomy.num_heads)]))
    values: Tensor = torch.linalg.eigvals(torch.stack(layers).cpu())
    return values


def _inner(
    anatomy: Anatomy, layer: int, head: int, pairing: Float[Tensor, "d_in d_out"]
) -> Float[Tensor, "d_head d_head"]:
    """W_V (W_E^T W_U) W_O: the eigenvalues of a product stay when its factors move round."""
    slices = anatomy.head_slices(f"L{layer}.H{head}")
    value, out = (
        slices[role].matrix(anatomy.model.get_parameter(slices[role].name).detach()).double() for role in ("v", "o")
    )
    return value @ pairing @ out


def _pairing(model: PreTrainedModel, order: Int[Tensor, "vocabulary"] | None) -> Float[Tensor, "d_model d_model"]:
    """The sum over tokens of embedding times readout direction: W_E^T W_U."""
    embedding = Anatomy(model).embedding().get_parameter("weight").detach()
    vocabulary = Anatomy(model).unembedding().get_parameter("weight").shape[0]
    if len(embedding) != vocabulary:
        raise ModelError(
            f"{len(embedding)} embeddings cannot be paired with {vocabulary} unembeddings; use `copying_probe`."
        )
    order = torch.arange(vocabulary) if order is None else order
    total = torch.zeros(embedding.shape[1], embedding.shape[1], dtype=torch.float64, device=embedding.device)
    for start in range(0, vocabulary, _ROWS_AT_ONCE):
        chosen = slice(start, start + _ROWS_AT_ONCE)
        total += embedding[chosen].double().T @ readout(model, order[chosen]).double()
    return total


def _ratio(values: Complex[Tensor, "layer head d_head"]) -> Float[Tensor, "layer head"]:
    size = values.abs().sum(-1)
    return torch.where(size > 0, values.real.sum(-1) / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0)


def _share_positive(values: Complex[Tensor, "layer head d_head"]) -> Float[Tensor, "layer head"]:
    size = values.abs()
    counted = size > _ZERO * size.max(-1, keepdim=True).values
    return ((values.real > 0) & counted).sum(-1).double() / counted.sum(-1).clamp(min=1)
