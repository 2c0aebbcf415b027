"""A tiny model with random weights and biases of every family that imprint knows, in double precision."""

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

SIZES = {"vocab_size": 31, "num_hidden_layers": 2, "hidden_size": 24}
ROOM = {"max_position_embeddings": 16}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
LLAMA = SIZES | ROOM | SPECIAL | {"intermediate_size": 20, "num_attention_heads": 4, "num_key_value_heads": 2}
GPT = {"vocab_size": 31, "n_layer": 2, "n_embd": 24, "n_head": 4, "n_positions": 16} | SPECIAL
FALCON = SIZES | ROOM | SPECIAL | {"num_attention_heads": 4, "bias": True}
T5 = {
    "vocab_size": 31,
    "d_model": 24,
    "d_kv": 5,
    "d_ff": 20,
    "num_heads": 4,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
}

BUILDERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**GPT)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(**SIZES, **ROOM, **SPECIAL, intermediate_size=20, num_attention_heads=4)
    ),
    "gptj": lambda: GPTJForCausalLM(GPTJConfig(**GPT, rotary_dim=4)),
    "falcon-rw": lambda: FalconForCausalLM(FalconConfig(**FALCON, multi_query=False, parallel_attn=False, alibi=True)),
    "falcon-7b": lambda: FalconForCausalLM(FalconConfig(**FALCON, multi_query=True)),
    "falcon-40b": lambda: FalconForCausalLM(FalconConfig(**FALCON, new_decoder_architecture=True, num_kv_heads=2)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA, attention_bias=True)),
    "llama-mha": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA | {"num_key_value_heads": 4})),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**LLAMA, head_dim=8)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**LLAMA)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**LLAMA, head_dim=8)),
    "olmo": lambda: OlmoForCausalLM(OlmoConfig(**LLAMA)),
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**LLAMA)),
    "bert": lambda: BertForMaskedLM(
        BertConfig(**SIZES, **ROOM, intermediate_size=20, num_attention_heads=4, pad_token_id=0)
    ),
    "t5": lambda: T5ForConditionalGeneration(T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
}
EVERY = list(BUILDERS)
CAUSAL = [name for name in EVERY if name not in ("bert", "t5")]


def tiny(name, seed=0):
    """The model, with every weight and bias random: zero biases would hide a wrong bias slice."""
    torch.manual_seed(seed)
    model = BUILDERS[name]().double().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in parameter_name.lower() or "ln_" in parameter_name else 0.0
            parameter.copy_(centre + 0.3 * torch.randn_like(parameter))
    return model


def inputs(name, batch=3, length=7, seed=1):
    """Keyword arguments of one forward pass, without padding."""
    generator = torch.Generator().manual_seed(seed)
    kwargs = {"input_ids": torch.randint(1, 31, (batch, length), generator=generator)}
    if name == "t5":
        kwargs["decoder_input_ids"] = torch.randint(1, 31, (batch, length - 2), generator=generator)
    return kwargs


def logits(model, kwargs):
    with torch.no_grad():
        return model(**kwargs).logits


def attentions(name):
    """(stack, cross) of every kind of attention in a family."""
    return [("encoder", False), ("decoder", False), ("decoder", True)] if name == "t5" else [("", False)]
