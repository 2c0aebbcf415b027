"""Where attention, MLP, norms and heads live in each family of models that transformers ships: one table, no code.

Every path is an attribute path. Stack paths start at `model.base_model`, block paths start at one block of the stack.
The table was written from the modelling sources of transformers 5 and is proven head by head in the tests, by
comparing a zeroed parameter slice with an ablated activation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedConfig

from imprint.errors import ModelError

Role = Literal["q", "k", "v"]
Packing = Literal["separate", "concatenated", "grouped"]
Objective = Literal["causal", "masked", "seq2seq"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadShape:
    """How many query heads and key/value heads an attention module has, and how wide each is."""

    num_heads: int
    num_kv_heads: int
    d_head: int

    @property
    def group(self) -> int:
        """Query heads that share one key/value head (1 = ordinary multi-head attention)."""
        return self.num_heads // self.num_kv_heads

    def kv_head(self, head: int) -> int:
        """The key/value head that a query head reads."""
        return head // self.group


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionLayout:
    """Block paths of one attention: the module that returns the pattern, its projections, and how q, k, v are packed.

    `packing` says which outputs of the projection belong to a head: "separate" = three modules, heads in order;
    "concatenated" = one module [q of all heads | k of all heads | v of all heads]; "grouped" = one module
    [kv head, query heads of its group + k + v, d_head], which is GPT-NeoX's [head, 3, d_head] for groups of one.
    """

    module: str
    query: str
    key: str
    value: str
    out: str
    packing: Packing

    def path(self, role: Role) -> str:
        """The block path of the projection that makes q, k or v."""
        return {"q": self.query, "k": self.key, "v": self.value}[role]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """One tower of blocks. `name` is "" in single-tower models, "encoder" or "decoder" in T5.

    `mlp` is the module whose output is the MLP's, `down` the down-projection whose input are the MLP's neurons.
    """

    name: str
    layers: str
    embedding: str
    final_norm: str | None
    attention: AttentionLayout
    mlp: str
    down: str
    cross: AttentionLayout | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """All that imprint must know of a model type: its training objective, its towers and two numbers of its config."""

    model_type: str
    objective: Objective
    stacks: tuple[Stack, ...]
    kv_heads: Callable[[PreTrainedConfig], int]
    context: Callable[[PreTrainedConfig], int | None]


def head_outputs(packing: Packing, role: Role, head: int, shape: HeadShape) -> Int[Tensor, "d_head"]:
    """Indices of a query head's q, k or v among the outputs of its projection; shared ones for grouped-query heads."""
    kv = shape.kv_head(head)
    if packing == "separate":
        start = head if role == "q" else kv
    elif packing == "concatenated":
        start = {"q": 0, "k": 1, "v": 2}[role] * shape.num_heads + head
    else:
        offset = {"q": head % shape.group, "k": shape.group, "v": shape.group + 1}[role]
        start = kv * (shape.group + 2) + offset
    return torch.arange(start * shape.d_head, (start + 1) * shape.d_head)


def family_of(model_type: str) -> Family:
    """The family of a transformers `model_type`; `ModelError` with the list of known types otherwise."""
    if model_type not in FAMILIES:
        raise ModelError(f"Model type '{model_type}' is not known to imprint; known types: {', '.join(FAMILIES)}.")
    return FAMILIES[model_type]


def _fused(module: str, projection: str, out: str, packing: Packing) -> AttentionLayout:
    return AttentionLayout(module=module, query=projection, key=projection, value=projection, out=out, packing=packing)


def _separate(module: str, query: str, key: str, value: str, out: str) -> AttentionLayout:
    return AttentionLayout(module=module, query=query, key=key, value=value, out=out, packing="separate")


def _all_heads(config: PreTrainedConfig) -> int:
    return int(config.num_attention_heads)


def _grouped_query(config: PreTrainedConfig) -> int:
    return int(config.num_key_value_heads)


def _falcon_kv_heads(config: PreTrainedConfig) -> int:
    """Three layouts under one name: grouped (40B, 180B, 11B), one shared key/value head (7B), one for each (RW)."""
    if config.new_decoder_architecture:
        return int(config.num_kv_heads)
    return 1 if config.multi_query else _all_heads(config)


def _positions(config: PreTrainedConfig) -> int:
    return int(config.max_position_embeddings)


def _falcon_context(config: PreTrainedConfig) -> int | None:
    return None if config.alibi else _positions(config)


def _unlimited(config: PreTrainedConfig) -> None:
    """T5 adds relative position biases, so no length is too long."""


_GPT2 = Stack(
    name="",
    layers="h",
    embedding="wte",
    final_norm="ln_f",
    attention=_fused("attn", "attn.c_attn", "attn.c_proj", "concatenated"),
    mlp="mlp",
    down="mlp.c_proj",
)
_GPT_NEOX = Stack(
    name="",
    layers="layers",
    embedding="embed_in",
    final_norm="final_layer_norm",
    attention=_fused("attention", "attention.query_key_value", "attention.dense", "grouped"),
    mlp="mlp",
    down="mlp.dense_4h_to_h",
)
_LLAMA = Stack(
    name="",
    layers="layers",
    embedding="embed_tokens",
    final_norm="norm",
    attention=_separate("self_attn", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    mlp="mlp",
    down="mlp.down_proj",
)
_GPTJ = Stack(
    name="",
    layers="h",
    embedding="wte",
    final_norm="ln_f",
    attention=_separate("attn", "attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj"),
    mlp="mlp",
    down="mlp.fc_out",
)
_FALCON = Stack(
    name="",
    layers="h",
    embedding="word_embeddings",
    final_norm="ln_f",
    attention=_fused("self_attention", "self_attention.query_key_value", "self_attention.dense", "grouped"),
    mlp="mlp",
    down="mlp.dense_4h_to_h",
)
_BERT = Stack(
    name="",
    layers="encoder.layer",
    embedding="embeddings.word_embeddings",
    final_norm=None,
    attention=_separate(
        "attention.self",
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    ),
    mlp="output.dense",
    down="output.dense",
)


def _t5_attention(path: str) -> AttentionLayout:
    return _separate(path, f"{path}.q", f"{path}.k", f"{path}.v", f"{path}.o")


_T5_ENCODER = Stack(
    name="encoder",
    layers="encoder.block",
    embedding="encoder.embed_tokens",
    final_norm="encoder.final_layer_norm",
    attention=_t5_attention("layer.0.SelfAttention"),
    mlp="layer.1.DenseReluDense",
    down="layer.1.DenseReluDense.wo",
)
_T5_DECODER = Stack(
    name="decoder",
    layers="decoder.block",
    embedding="decoder.embed_tokens",
    final_norm="decoder.final_layer_norm",
    attention=_t5_attention("layer.0.SelfAttention"),
    cross=_t5_attention("layer.1.EncDecAttention"),
    mlp="layer.2.DenseReluDense",
    down="layer.2.DenseReluDense.wo",
)


def _causal(
    model_type: str,
    stack: Stack,
    kv_heads: Callable[[PreTrainedConfig], int] = _all_heads,
    context: Callable[[PreTrainedConfig], int | None] = _positions,
) -> Family:
    return Family(model_type=model_type, objective="causal", stacks=(stack,), kv_heads=kv_heads, context=context)


_TABLE = (
    _causal("gpt2", _GPT2),
    _causal("gpt_neox", _GPT_NEOX),
    _causal("gptj", _GPTJ),
    _causal("falcon", _FALCON, _falcon_kv_heads, _falcon_context),
    *(_causal(name, _LLAMA, _grouped_query) for name in ("llama", "mistral", "qwen2", "qwen3", "olmo", "olmo2")),
    Family(model_type="bert", objective="masked", stacks=(_BERT,), kv_heads=_all_heads, context=_positions),
    Family(
        model_type="t5",
        objective="seq2seq",
        stacks=(_T5_ENCODER, _T5_DECODER),
        kv_heads=_all_heads,
        context=_unlimited,
    ),
)

FAMILIES: Mapping[str, Family] = {family.model_type: family for family in _TABLE}
"""Every known family by transformers `model_type` (SmolLM, SmolLM2 and TinyLlama are of type "llama")."""
