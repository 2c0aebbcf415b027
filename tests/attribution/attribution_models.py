"""Tiny double-precision models of the three ways to pack Q, K and V, ragged rows for them, and a query of the loss."""

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from imprint.attribution import Query
from imprint.models import token_losses

VOCABULARY, CONTEXT = 13, 10
SPECIAL = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
SIZES = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "num_hidden_layers": 2, "hidden_size": 16}
WIDTHS = {"num_attention_heads": 4, "intermediate_size": 10}

BUILDERS = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_positions=CONTEXT, n_layer=2, n_embd=16, n_head=4, **SPECIAL)
    ),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **WIDTHS, **SPECIAL)),
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, **WIDTHS, **SPECIAL, num_key_value_heads=2, head_dim=4, attention_bias=True)
    ),
}
FAMILIES = list(BUILDERS)


def tiny(family="gpt2", seed=0):
    """A model of the family with every weight and bias random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BUILDERS[family]().double().eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                centre = 1.0 if "norm" in name or "ln_" in name else 0.0
                parameter.copy_(centre + 0.4 * torch.randn_like(parameter))
    return model


def ragged_rows(count=9, seed=1, vocabulary=VOCABULARY, context=CONTEXT):
    """Random rows of different lengths, padded with 0 as `pack` does."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, vocabulary, (count, context + 1), generator=generator)
    lengths = torch.randint(2, context + 1, (count,), generator=generator)
    tokens[:, 0] = 0
    tokens[:, 1:][torch.arange(context)[None, :] >= lengths[:, None]] = 0
    return tokens, lengths


def likelihood_query(tokens):
    """The summed log-likelihood of rows: a query that depends on every parameter."""
    return Query(
        name="likelihood",
        measure=lambda model: -token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:]).sum(),
    )


def flat(matrices):
    """All blocks as one vector."""
    return torch.cat([matrix.reshape(-1) for matrix in matrices])


def norm(matrices):
    """The length of all blocks together."""
    return float(flat(matrices).norm())
