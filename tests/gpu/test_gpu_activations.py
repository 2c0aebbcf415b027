import numpy as np
import pytest
import torch
from tiny_families import EVERY, inputs, logits, tiny
from two_devices import DEVICE, moved, on_both, same

from imprint.models import (
    Anatomy,
    ablate_heads,
    attention_patterns,
    capture,
    head_means,
    load_model,
    prefix_states,
    record,
    resumed,
)

ROOM = 1e-5
"""GPT-J, Falcon, Llama's norms and T5's compute parts of a double-precision model in single precision."""


def sites_of(name):
    before = ("encoder.", "decoder.") if name == "t5" else ("",)
    kinds = ("z", "attn", "mlp", "neurons", "resid_pre", "resid_post")
    return [f"{stack}L{layer}.{kind}" for stack in before for layer in (0, 1) for kind in kinds]


@pytest.mark.parametrize("name", EVERY)
def test_recorded_states_are_those_of_the_cpu(name):
    cpu, gpu = on_both(tiny(name))
    found = []
    for model, batch in ((cpu, inputs(name)), (gpu, moved(inputs(name)))):
        with record(model, sites_of(name)) as states:
            logits(model, batch)
        found.append(dict(states))
    assert {states.device.type for states in found[1].values()} == {DEVICE}
    same(*found, ROOM)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox"])
def test_captured_files_are_those_of_the_cpu(tmp_path, name):
    models = on_both(tiny(name))
    tokens, lengths = np.random.default_rng(0).integers(1, 31, (9, 12)), np.arange(4, 13)
    sites = ["embed", "L0.resid_post", "L1.H2", "L1.neurons"]
    stores = [capture(one, tokens, lengths, sites, tmp_path / str(n), skip=1) for n, one in enumerate(models)]
    for site in sites:
        cpu, gpu = (np.asarray(store.states(site), dtype=np.float32) for store in stores)
        np.testing.assert_allclose(gpu, cpu, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama", "falcon-7b"])
def test_patterns_means_and_ablations_take_tokens_from_anywhere(name):
    cpu, gpu = on_both(tiny(name))
    batch = inputs(name)
    same(attention_patterns(cpu, batch["input_ids"]), attention_patterns(gpu, batch["input_ids"]), ROOM)
    heads = ["L0.H1", "L1.H3"]
    means = head_means(cpu, heads, [batch])
    same(means, head_means(gpu, heads, [batch]), ROOM)
    for mode in ("zero", "mean"):
        with ablate_heads(cpu, heads, mode=mode, mean=means) as one:
            expected = logits(cpu, batch)
        with ablate_heads(gpu, heads, mode=mode, mean=means) as other:
            same(expected, logits(gpu, moved(batch)), ROOM)
        assert one.changed == other.changed


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
def test_a_resumed_pass_is_the_whole_pass(name):
    _, gpu = on_both(tiny(name))
    batch = moved(inputs(name))
    whole = logits(gpu, batch)
    for layer in (1, 2):
        states = prefix_states(gpu, layer, inputs(name))
        with resumed(gpu, layer, states):
            same(whole, logits(gpu, batch | {"use_cache": False}), ROOM)


def test_a_model_loads_onto_the_gpu_as_it_was_saved(tmp_path):
    model = tiny("gpt_neox").float()
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, device=DEVICE)
    assert {parameter.device.type for parameter in loaded.parameters()} == {DEVICE}
    assert all(torch.equal(value, loaded.state_dict()[key].cpu()) for key, value in model.state_dict().items())
    assert Anatomy(loaded).num_layers == 2
