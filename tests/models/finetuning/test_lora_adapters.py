import json
import warnings

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tuning_runs import FAMILIES, TARGETS, bytes_of, rows_of, state_of, supervised, tiny

from imprint.attribution.unrolled import low_rank, parameters_of
from imprint.corpus import Stream
from imprint.errors import ConfigError
from imprint.models import load_model
from imprint.models.finetuning import (
    LoraRecipe,
    SupervisedRecipe,
    adapted_modules,
    finetune,
    merged,
    save_adapted,
    with_adapters,
)

TOKENS = rows_of()[0]


def adapted(name="gpt2", seed=3, **recipe):
    return with_adapters(tiny(name), LoraRecipe(rank=2, alpha=6.0, targets=TARGETS[name], **recipe), seed=seed)


def logits(model):
    with torch.no_grad():
        return model(TOKENS).logits


def trained(tmp_path, name="gpt2"):
    """An adapted model after four updates at a high rate."""
    model = adapted(name)
    rows = np.arange(16, dtype=np.int32).reshape(4, 4) % 6
    stream = Stream(rows=rows, weights=np.ones((4, 4), dtype=np.float32))
    recipe = SupervisedRecipe(learning_rate=0.05, warmup_steps=1, steps=4, batch=4)
    finetune(model, supervised(rows_of()), stream, recipe, tmp_path, seed=0, save=lambda folder: None)
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_fresh_adapters_change_nothing(name):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    model = adapted(name)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(logits(model), logits(tiny(name)))
    before, after = tiny(name).state_dict(), merged(model).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_the_adapters_are_trained_and_merging_gives_the_same_model(tmp_path, name):
    before = state_of(adapted(name))
    model = trained(tmp_path, name)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {key for key in before if "lora_" in key}
    plain = merged(model)
    assert not isinstance(plain, PeftModel)
    assert (logits(model) - logits(tiny(name))).abs().max() > 0.1
    torch.testing.assert_close(logits(plain), logits(model), rtol=0, atol=1e-6)
    changed = {
        key.removesuffix(".weight")
        for key, value in plain.state_dict().items()
        if not torch.equal(value, tiny(name).state_dict()[key])
    }
    assert changed == set(adapted_modules(tiny(name), TARGETS[name]))


@pytest.mark.parametrize("name", FAMILIES)
def test_saved_as_a_plain_model_and_as_an_adapter(tmp_path, name):
    model = trained(tmp_path / "run", name)
    save_adapted(model, tmp_path / "saved")
    again = load_model(tmp_path / "saved", dtype="float64")
    torch.testing.assert_close(logits(again), logits(model), rtol=0, atol=1e-6)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        peft = PeftModel.from_pretrained(tiny(name), tmp_path / "saved" / "adapter")
    torch.testing.assert_close(logits(peft), logits(model), rtol=0, atol=1e-6)
    assert {path.name for path in (tmp_path / "saved" / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert all("lora_" in key for key in load_file(tmp_path / "saved" / "adapter" / "adapter_model.safetensors"))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_adapters_start_where_those_of_the_differentiable_run_start(name):
    plain = tiny(name)
    base = parameters_of(plain)
    theirs = low_rank(plain, TARGETS[name], rank=2, alpha=6.0, seed=3)
    start = theirs.start(base)
    ours = {
        key.removeprefix("base_model.model.").replace("lora_A.default.weight", "weight.lora_A"): value
        for key, value in adapted(name).state_dict().items()
        if "lora_A" in key
    }
    assert ours.keys() == {key for key in start if "lora_A" in key}
    assert all(torch.equal(value, start[key]) for key, value in ours.items())
    # and what the same B does is the same change of the weights
    model = adapted(name)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_B" in key:
                value.copy_(torch.linspace(-1, 1, value.numel(), dtype=torch.float64).view(value.shape))
        variables = {
            key: value
            if "lora_A" in key
            else torch.linspace(-1, 1, value.numel(), dtype=torch.float64).view(value.shape)
            for key, value in start.items()
        }
        assembled = theirs.assemble(base, variables)
    for key, value in merged(model).named_parameters():
        torch.testing.assert_close(value.detach(), assembled[key].detach(), rtol=1e-12, atol=1e-12)


def test_linear_and_conv1d_modules_of_one_model():
    model = tiny("gpt2 untied")
    model = with_adapters(model, LoraRecipe(rank=2, targets=("c_attn", "lm_head")), seed=0)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_B" in key:
                value.fill_(0.1)
    assert (logits(model) - logits(tiny("gpt2 untied"))).abs().max() > 0.1
    torch.testing.assert_close(logits(merged(model)), logits(model), rtol=0, atol=1e-6)


def test_the_seed_names_the_adapters():
    one, same, other = (state_of(adapted(seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert any(not torch.equal(value, other[key]) for key, value in one.items() if "lora_A" in key)


def test_without_targets_every_linear_map_but_the_unembedding():
    names = adapted_modules(tiny("llama"), ())
    assert {name.rpartition(".")[2] for name in names} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(names) == 14


@pytest.mark.parametrize(
    ("name", "targets", "words"),
    [
        ("gpt2", ("q_proj",), "called 'q_proj'; it has c_attn, c_fc, c_proj, lm_head"),
        ("gpt2", ("attn",), "called 'attn'"),  # a whole block has a name too, but no weight to adapt
        ("gpt2", ("c_attn", "wte"), "called 'wte'"),
        ("gpt2", ("lm_head",), "'lm_head' shares its weight with the embedding"),
    ],
)
def test_targets_that_cannot_be_adapted_are_one_clear_sentence(name, targets, words):
    with pytest.raises(ConfigError, match=words) as caught:
        with_adapters(tiny(name), LoraRecipe(targets=targets), seed=0)
    assert "\n" not in str(caught.value)


def test_neither_the_order_of_a_set_nor_a_place_decides_the_bytes(tmp_path):
    model = with_adapters(tiny("llama"), LoraRecipe(), seed=1)
    save_adapted(model, tmp_path / "here")
    config = json.loads((tmp_path / "here" / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert len(config["target_modules"]) == 14
    assert config["base_model_name_or_path"] == ""
    here = str(tmp_path).encode()
    assert not any(here in data for data in bytes_of(tmp_path / "here").values())
