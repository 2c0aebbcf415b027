"""A two-layer transformer whose weights are written by hand, so that every induction score is known beforehand."""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from imprint.models.components import Anatomy

_COPY_WEIGHT = 30.0


@torch.no_grad()
def induction_transformer(
    vocabulary: int = 50, context: int = 64, bos: bool = True, *, sharpness: float = 200.0
) -> GPT2LMHeadModel:
    """A float64 GPT-2 in which L0.H0 reads the previous token and L1.H0 is a perfect induction head.

    The residual stream is [token | previous token | position], all one-hot. L0.H0 copies the token before into the
    middle part; L1.H0 looks there for the current token and copies the token found into the logits with weight 30.
    L0.H1 and L1.H1 attend uniformly and write nothing; norms are `nn.Identity`, MLPs are zero. Token 0 is BOS if `bos`.
    The model is in evaluation mode with eager attention. `sharpness` scales the scores: lower it (say to 5) for
    patterns that are not saturated and so have gradients.

    Known answers for sequences [BOS] r r with |r| = n distinct tokens other than BOS: previous-token score 1, prefix
    matching 1 with BOS and 1 - .5/(n-1) without it, because position 0 has no token before it, reads itself, and so
    looks like a second match for the first token of r.
    """
    # Half the width must hold a one-hot position (for L0.H0) and a one-hot token (for L1.H0).
    d_head = max(vocabulary + (context + 1) // 2, context)
    with torch.random.fork_rng(devices=[]):  # the class draws weights, which are overwritten
        model: Any = GPT2LMHeadModel(_config(vocabulary, context, 2 * d_head, bos)).double()
    model.eval()
    for parameter in model.parameters():
        parameter.zero_()
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = nn.Identity(), nn.Identity()
    model.transformer.ln_f = nn.Identity()
    # Rows of `basis` are the directions of the residual stream.
    basis = torch.eye(2 * d_head, dtype=torch.float64)
    token, previous, position = (basis[start : start + size] for start, size in _parts(vocabulary, context))
    model.transformer.wte.weight.copy_(token)
    model.transformer.wpe.weight.copy_(position)
    model.lm_head.weight.copy_(token)
    _write_head(model, "L0.H0", query=sharpness * position[1:], key=position[:-1], value=token, out=previous)
    _write_head(model, "L1.H0", query=sharpness * token, key=previous, value=token, out=_COPY_WEIGHT * token)
    return cast(GPT2LMHeadModel, model)


def _parts(vocabulary: int, context: int) -> tuple[tuple[int, int], ...]:
    """Start and size of the stream's three parts: token, previous token, position."""
    return (0, vocabulary), (vocabulary, vocabulary), (2 * vocabulary, context)


def _config(vocabulary: int, context: int, width: int, bos: bool) -> GPT2Config:
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=context,
        n_embd=width,
        n_layer=2,
        n_head=2,
        n_inner=1,
        scale_attn_weights=False,
        tie_word_embeddings=False,
        bos_token_id=0 if bos else None,
        eos_token_id=None,
    )
    config._attn_implementation = "eager"
    return config


def _write_head(
    model: GPT2LMHeadModel,
    head: str,
    *,
    query: Float[Tensor, "match d_model"],
    key: Float[Tensor, "match d_model"],
    value: Float[Tensor, "copied d_model"],
    out: Float[Tensor, "copied d_model"],
) -> None:
    """Let a head attend from query[i] to key[i], and write out[i] where it reads value[i]."""
    slices = Anatomy(model).head_slices(head)
    for role, rows in (("q", query), ("k", key), ("v", value), ("o", out)):
        weight = rows.new_zeros(len(slices[role].index), rows.shape[1])
        weight[: len(rows)] = rows
        # Conv1D stores (in, out): q, k and v map the stream to the head, o maps the head back to the stream.
        slices[role].assign(model, weight if role == "o" else weight.T)
