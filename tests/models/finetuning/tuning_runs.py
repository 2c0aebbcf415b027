"""Tiny models with random weights, rows with masked prompts and pairs, and stages that take milliseconds."""

import json

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from imprint.models.finetuning import Supervised

SPECIAL = {"bos_token_id": 0, "eos_token_id": 0}
ROTARY = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
ROTARY |= SPECIAL | {"max_position_embeddings": 16}
BUILDERS = {
    "gpt2": lambda vocabulary: GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary, n_positions=64, n_embd=16, n_layer=2, n_head=2, n_inner=16, **SPECIAL)
    ),
    "gpt_neox": lambda vocabulary: GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=vocabulary, **ROTARY)),
    "llama": lambda vocabulary: LlamaForCausalLM(
        LlamaConfig(vocab_size=vocabulary, num_key_value_heads=2, tie_word_embeddings=False, **ROTARY)
    ),
}
FAMILIES = list(BUILDERS)
BUILDERS["gpt2 untied"] = lambda vocabulary: GPT2LMHeadModel(
    GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=1, n_head=2, tie_word_embeddings=False, **SPECIAL)
)
TARGETS = {"gpt2": ("c_attn", "c_fc"), "gpt_neox": ("query_key_value",), "llama": ("q_proj", "v_proj", "up_proj")}


def tiny(name="gpt2", vocabulary=20, seed=0):
    """Weights far from zero, so that every part of the model matters; in double precision, without dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BUILDERS[name](vocabulary).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def rows_of(count=6, seed=0, vocabulary=20, width=9):
    """(tokens, lengths, prompts): ragged rows whose labels before `prompts` are the prompt."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, width, (count,), generator=generator)
    prompts = torch.randint(1, 4, (count,), generator=generator)
    tokens = torch.randint(1, vocabulary, (count, width), generator=generator)
    tokens[torch.arange(width)[None, :] > lengths[:, None]] = 0
    return tokens, lengths, prompts


def supervised(rows):
    """The objective of these rows."""
    tokens, lengths, prompts = rows
    places = torch.arange(tokens.shape[1] - 1)[None, :]
    return Supervised(tokens=tokens, label_mask=(places < lengths[:, None]) & (places >= prompts[:, None]))


def write_chats(path, count=12):
    """Chats whose answers are learnable, as JSON Lines."""
    rows = ({"prompt": f"say {number % 3}", "response": "abc"[number % 3] * 3} for number in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_pairs(path, count=12):
    """Pairs that prefer one letter to another."""
    rows = ({"prompt": f"say {number % 3}", "chosen": "yes", "rejected": "no!"} for number in range(count))
    path.write_text("".join(json.dumps(row | {"id": number}) + "\n" for number, row in enumerate(rows)))
    return path


def state_of(model):
    """Copies of all weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def bytes_of(folder):
    """Every result file below a folder; the manifest holds times, so it is left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if "scratch" not in path.parts}
