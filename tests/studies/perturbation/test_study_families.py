"""The study by configuration alone on every kind of model: causal families, masked, encoder-decoder."""

import pytest
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
    T5Config,
    T5ForConditionalGeneration,
)

from imprint.corpus import byte_tokenizer
from imprint.errors import ConfigError
from imprint.models.quiet import quiet
from imprint.runs import LocalExecutor
from imprint.studies import run_perturbation_study
from tiny_perturbation import tiny_study, write_world

SIZES = {"vocab_size": 260, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
GPT = {"vocab_size": 260, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.3}
ROOM = {"max_position_embeddings": 256, "intermediate_size": 24}
T5 = {"vocab_size": 260, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2, "num_layers": 2}
MODELS = {
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(**GPT, **SPECIAL)), "L0.resid_post"),
    "gpt_neox": (lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **ROOM, **SPECIAL)), "L0.mlp"),
    "gptj": (lambda: GPTJForCausalLM(GPTJConfig(**GPT, **SPECIAL, rotary_dim=4)), "L1.neurons"),
    "falcon": (lambda: FalconForCausalLM(FalconConfig(**SIZES, **SPECIAL)), "L0.attn"),
    "bert": (lambda: BertForMaskedLM(BertConfig(**SIZES, **ROOM)), "L0.resid_post"),
    "t5-encoder": (
        lambda: T5ForConditionalGeneration(T5Config(**T5, decoder_start_token_id=0)),
        "encoder.L0.resid_post",
    ),
    "t5-decoder": (lambda: T5ForConditionalGeneration(T5Config(**T5, decoder_start_token_id=0)), "decoder.L1.mlp"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


def saved(name, folder):
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    with quiet():
        MODELS[name][0]().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def study(world, folder, name, **more):
    chosen = {
        "site": MODELS[name][1],
        "families": ["ablation", "shift"],
        "layers": [],
        "token_shares": [],
        "global_noise": False,
        "dimensions": 4,
    }
    return tiny_study(
        world,
        model={"name": str(saved(name, folder / "model"))},
        abilities={"suites": ["copa"], "controls": []},
        clusters={"documents": 24, "tokens": 12},
        perturbations=chosen | more,
        hypotheses=[],
    )


@pytest.mark.parametrize("name", list(MODELS))
def test_the_study_runs_on_every_kind_of_model(name, world, tmp_path):
    result = run_perturbation_study(study(world, tmp_path, name), tmp_path / "out", executor=LocalExecutor(workers=1))
    shifts = [one for cell in result.cells for one in cell.families if one.responses.family == "shift"]
    assert len(shifts) == 2
    assert all((one.responses.harm[-1] != 0).any() for one in shifts)
    assert bool(result.checks) == (name not in ("bert", "t5-encoder", "t5-decoder"))


def test_signs_of_a_masked_model_are_refused(world, tmp_path):
    asked = study(world, tmp_path, "bert", families=["sign"])
    with pytest.raises(ConfigError, match="masked model has no gradient signs"):
        run_perturbation_study(asked, tmp_path / "out", executor=LocalExecutor(workers=1))
