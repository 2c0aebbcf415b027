import logging

import pytest
import torch
from tiny_families import CAUSAL, EVERY, attentions, inputs, logits, tiny

from imprint.errors import ComponentNotFound, ConfigError, InterventionNeverFired, ModelError
from imprint.interventions.activations import (
    Intervention,
    Mean,
    Noise,
    Shift,
    Subspace,
    Zero,
    entry_layer,
    idle_expected,
    intervene,
)
from imprint.models import Anatomy, ablate_heads, depth, eager_attention, hooked, prefix_states, record, resumed

PARTS = ("embed", "L0.resid_pre", "L1.attn", "L1.mlp", "L1.neurons", "L1.z", "L1.H2", "L1.resid_post")


def site(name, tail):
    return f"decoder.{tail}" if name == "t5" else tail


def layers_of(name):
    return [f"{stack}.L{layer}".lstrip(".") for stack, cross in attentions(name) if not cross for layer in range(2)]


def noise(address, dose=0.5, **more):
    return Intervention(site=address, edit=Noise(seed=1, rms=1.0), dose=dose, **more)


# ---- AT-RP-1, AT-RP-2, AT-RP-6 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_doing_nothing_on_every_layer_leaves_the_logits_bit_identical(name):
    """AT-RP-1: dose 0 of every part of every layer; it fires, and says that it changed nothing."""
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    parts = ("resid_pre", "attn", "z", "H0", "mlp", "neurons", "resid_post")
    items = [noise(f"{layer}.{part}", 0.0) for layer in layers_of(name) for part in parts]
    with intervene(model, items) as fired:
        assert torch.equal(logits(model, kwargs), plain)
    assert all(count.fires == 1 for count in fired.counts)
    assert len(fired.idle) == len(items)
    assert fired.changed == 0


def test_hooks_go_after_an_exception_and_other_peoples_stay():
    """AT-RP-2; pyvene deletes every hook of the model at each call."""
    model, kwargs = tiny("llama"), inputs("llama")
    plain = logits(model, kwargs)
    calls = []
    theirs = Anatomy(model).block(0).register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(KeyError), intervene(model, [noise("L0.resid_post"), noise("L1.H0")]):
        raise KeyError
    with intervene(model, [noise("L0.resid_post")]):
        logits(model, kwargs)
    assert torch.equal(logits(model, kwargs), plain)
    assert calls == [1, 1]
    theirs.remove()
    hooks = (len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
    assert sum(hooks) == 0


@pytest.mark.parametrize("name", EVERY)
def test_zeroing_a_head_is_the_model_without_its_slice_of_the_out_projection(name):
    """AT-RP-6; nnsight's recipe reshapes the attention's output after the out-projection, which is another thing."""
    model, edited, kwargs = tiny(name), tiny(name), inputs(name)
    stack, cross = attentions(name)[-1]
    head = ".".join(part for part in (stack, "L1", "cross" if cross else "", "H2") if part)
    part = Anatomy(edited).head_slices(head)["o"]
    part.assign(edited, torch.zeros_like(part.view(edited)))
    with intervene(model, [Intervention(site=head, edit=Zero())]) as fired:
        torch.testing.assert_close(logits(model, kwargs), logits(edited, kwargs), rtol=0, atol=1e-6)
    assert (logits(model, kwargs) - logits(edited, kwargs)).abs().max() > 1e-3
    with ablate_heads(model, [head]) as ablation:
        logits(model, kwargs)
    assert fired.changed == ablation.changed


# ---- every part of every family, from the entry layer ---------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_part_can_be_edited_and_resumed_from_its_entry_layer(name):
    """Edits reach every row (blocks return Tensors or tuples), and the cached prefix gives the same logits."""
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    for tail in PARTS:
        item = noise(site(name, tail))
        with intervene(model, [item]) as fired:
            wanted = logits(model, kwargs)
        assert fired[0].fires == 1
        assert fired.changed == kwargs.get("decoder_input_ids", kwargs["input_ids"]).numel() * Anatomy(model).width(
            item.site
        )
        assert (wanted - plain).abs().amax((1, 2)).min() > 1e-5, tail
        entry = entry_layer(model, [item])
        states = prefix_states(model, entry, kwargs)
        with resumed(model, entry, states), intervene(model, [item]):
            torch.testing.assert_close(logits(model, kwargs), wanted, rtol=0, atol=1e-9)
        with intervene(model, [item]), resumed(model, entry, states):
            torch.testing.assert_close(logits(model, kwargs), wanted, rtol=0, atol=1e-9)


def test_the_entry_layer_is_the_lowest_of_all():
    model = tiny("t5")
    assert entry_layer(model, []) == depth(model) == 5
    assert entry_layer(model, [noise("decoder.L2.mlp"), noise("decoder.L0.resid_post")]) == 3
    assert entry_layer(model, [noise("decoder.L2.mlp"), noise("encoder.L1.z")]) == 1


def test_an_intervention_below_the_resumed_layer_is_refused():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    states = prefix_states(model, 2, kwargs)
    with resumed(model, 2, states), pytest.raises(ModelError), intervene(model, [noise("L0.resid_post")]):
        logits(model, kwargs)
    with pytest.raises(InterventionNeverFired), intervene(model, [noise("L0.mlp")]), resumed(model, 2, states):
        logits(model, kwargs)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_t5_encoder_and_gpt2_neurons_are_what_they_should_be(name):
    """Neurons are the input of the down-projection: zeroing all of them leaves its bias."""
    model, kwargs = tiny(name), inputs(name)
    layer = "encoder.L1" if name == "t5" else "L1"
    bias = model.transformer.h[1].mlp.c_proj.bias if name == "gpt2" else torch.zeros(24, dtype=torch.float64)
    with (
        intervene(model, [Intervention(site=f"{layer}.neurons", edit=Zero())]),
        record(model, [f"{layer}.mlp"]) as seen,
    ):
        logits(model, kwargs)
    torch.testing.assert_close(seen[f"{layer}.mlp"], bias.detach().expand_as(seen[f"{layer}.mlp"]), rtol=0, atol=1e-12)


# ---- counting -------------------------------------------------------------------------------------------------------


def test_zero_fires_raise_and_no_change_is_visible(caplog):
    """TransformerLens accepts hooks on gated points that never fire."""
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with pytest.raises(InterventionNeverFired, match=r"L1\.mlp"), intervene(model, [noise("L1.mlp")]):
        pass
    with pytest.raises(InterventionNeverFired, match=r"L0\.mlp"), intervene(model, [noise("L0.mlp", phase="decode")]):
        logits(model, kwargs)
    twice = [Intervention(site="L0.mlp", edit=Zero()), Intervention(site="L0.mlp", edit=Zero())]
    with caplog.at_level(logging.WARNING), intervene(model, twice) as fired:
        logits(model, kwargs)
    assert fired.idle == ("L0.mlp",)
    assert (fired[0].changed, fired[1].changed) == (3 * 7 * 24, 0)
    assert "changed nothing" in caplog.text
    caplog.clear()
    with idle_expected(), intervene(model, twice) as fired:
        logits(model, kwargs)
    assert fired.idle == ("L0.mlp",)
    assert caplog.text == ""


def test_the_norm_is_that_of_the_change():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    direction = torch.eye(24, dtype=torch.float64)[3]
    item = Intervention(site="L0.mlp", edit=Shift(direction=direction, rms=2.0), dose=-1.5)
    with intervene(model, [item]) as fired:
        for _ in range(3):
            logits(model, kwargs)
    assert fired[0].fires == 3
    assert fired[0].norm == pytest.approx(3.0 * (3 * 3 * 7) ** 0.5)


def test_parameters_and_modes_are_left_alone():
    """pyvene freezes every parameter."""
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    model.transformer.wte.weight.requires_grad_(False)
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    model.train()
    with intervene(model, [noise("L0.mlp")]):
        model(**kwargs).logits.sum().backward()
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert all(module.training for module in model.modules())
    assert model.transformer.h[0].mlp.c_fc.weight.grad is not None


def test_inference_mode_works():
    model, kwargs = tiny("llama"), inputs("llama")
    with intervene(model, [noise("L0.mlp")]):
        expected = logits(model, kwargs)
        with torch.inference_mode():
            assert torch.equal(model(**kwargs).logits, expected)


# ---- whose tokens ---------------------------------------------------------------------------------------------------


def test_masked_tokens_only():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    mask = torch.zeros(3, 7, dtype=torch.bool)
    mask[1, 2] = mask[2, 5] = True
    with record(model, ["L0.mlp"]) as plain:
        logits(model, kwargs)
    with (
        intervene(model, [Intervention(site="L0.mlp", edit=Zero(), tokens=mask)]) as fired,
        record(model, ["L0.mlp"]) as seen,
    ):
        logits(model, kwargs)
    assert fired.changed == 2 * 24
    assert torch.equal((seen["L0.mlp"] != plain["L0.mlp"]).any(-1), mask)


@pytest.mark.parametrize("edit", ["noise", "mask"])
@pytest.mark.parametrize("name", ["llama", "bert", "t5"])
def test_a_row_is_edited_alike_in_every_batch(name, edit):
    model, kwargs = tiny(name), inputs(name)
    mask = torch.rand(3, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    item = noise(site(name, "L0.resid_post"), tokens=mask if edit == "mask" else None)
    with intervene(model, [item]):
        together = logits(model, kwargs)
    for row in (2, 0):
        alone = {key: value[[row]] for key, value in kwargs.items()}
        with intervene(model, [item], rows=torch.tensor([row])):
            torch.testing.assert_close(logits(model, alone), together[[row]], rtol=0, atol=1e-9)


def test_padding_on_the_left_does_not_move_noise_or_masks():
    model = tiny("llama").float()
    text = torch.randint(1, 31, (1, 5))
    batch = {"input_ids": torch.cat([torch.zeros(1, 3, dtype=torch.long), text], 1)}
    batch["attention_mask"] = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    mask = torch.tensor([[False, True, True, False, True]])
    for tokens in (None, mask):
        item = noise("L0.resid_post", tokens=tokens)
        with intervene(model, [item]) as bare:
            wanted = logits(model, {"input_ids": text})
        with intervene(model, [item]) as padded:
            torch.testing.assert_close(logits(model, batch)[:, 3:], wanted, rtol=0, atol=1e-4)
        assert bare.changed == padded.changed


def test_one_dose_a_row_is_as_many_runs():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    doses = (0.0, 0.5, -2.0)
    with intervene(model, [noise("L0.resid_post", doses)]):
        together = logits(model, kwargs)
    for row, dose in enumerate(doses):
        with intervene(model, [noise("L0.resid_post", dose)]):
            torch.testing.assert_close(together[row], logits(model, kwargs)[row], rtol=0, atol=1e-10)
    assert torch.equal(together[0], logits(model, kwargs)[0])


def test_interventions_at_one_site_act_in_order():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    first = Intervention(site="L0.mlp", edit=Zero())
    second = Intervention(site="L0.mlp", edit=Mean(value=torch.ones(24)))
    with intervene(model, [first, second]), record(model, ["L0.mlp"]) as seen:
        logits(model, kwargs)
    assert bool((seen["L0.mlp"] == 1).all())


def test_noise_fits_any_length():
    """pyvene's noise is made for four positions."""
    model = tiny("gpt2")
    for length in (1, 4, 5, 16):
        with intervene(model, [noise("L0.resid_post")]) as fired:
            logits(model, inputs("gpt2", length=length))
        assert fired.changed == 3 * length * 24


def test_fused_attention_is_edited_too():
    model, kwargs = tiny("llama"), inputs("llama")
    item = Intervention(site="L0.H1", edit=Zero())
    with intervene(model, [item]):
        fused = logits(model, kwargs)
        with eager_attention(model):
            torch.testing.assert_close(logits(model, kwargs), fused, rtol=0, atol=1e-5)


# ---- generation -----------------------------------------------------------------------------------------------------

OPTIONS = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
STEER = Shift(direction=torch.eye(24, dtype=torch.float64)[5], rms=1.0)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptj", "falcon-7b"])
def test_phases_under_a_cache(name):
    """Serving stacks steer the prompt only, silently; here it is said, and each phase edits its own states only."""
    model, kwargs = tiny(name), inputs(name)

    def states(phase):
        seen = []
        items = [] if phase is None else [Intervention(site="L0.resid_post", edit=STEER, dose=3.0, phase=phase)]
        with torch.no_grad():
            if not items:
                return _two_passes(model, kwargs, seen)
            with intervene(model, items) as fired:
                _two_passes(model, kwargs, seen)
        return seen, fired[0].fires

    plain, _ = _two_passes(model, kwargs, [])
    shift = 3 * STEER.direction
    for phase, prompt, new, wanted in (("prefill", shift, 0, 1), ("decode", 0, shift, 1), ("both", shift, shift, 2)):
        seen, fires = states(phase)
        assert fires == wanted
        torch.testing.assert_close(seen[0], plain[0] + prompt, rtol=0, atol=1e-9)
        torch.testing.assert_close(seen[1], plain[1] + new, rtol=0, atol=1e-9)


def _two_passes(model, kwargs, seen):
    with torch.no_grad(), record(model, ["L0.resid_post"]) as states:
        output = model(**kwargs, use_cache=True)
        seen.append(states["L0.resid_post"])
        model(input_ids=torch.full((3, 1), 4), past_key_values=output.past_key_values, use_cache=True)
        seen.append(states["L0.resid_post"])
    return seen, 0


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
def test_steered_generation_is_that_of_bare_hooks(name):
    model, ids = tiny(name), inputs(name)["input_ids"]
    # transformers 5.23 sizes T5's cache by its encoder's layers, so this T5 with more decoder layers runs without.
    kwargs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": name != "t5"}
    block = Anatomy(model).block(0, "decoder" if name == "t5" else None)
    with hooked(model, [(block, "post", lambda h: h + 40 * STEER.direction)]):
        wanted = model.generate(**kwargs, **OPTIONS)
    with intervene(model, [Intervention(site=site(name, "L0.resid_post"), edit=STEER, dose=40.0)]) as fired:
        assert torch.equal(model.generate(**kwargs, **OPTIONS), wanted)
    assert fired[0].fires == 5
    assert bool((model.generate(**kwargs, **OPTIONS) != wanted).any())


def test_generation_with_padding_on_the_left_is_that_of_each_row_alone():
    model = tiny("llama")
    ids = torch.randint(1, 31, (2, 6), generator=torch.Generator().manual_seed(2))
    ids[0, :2] = 0
    attention = (ids != 0).long()
    mask = torch.tensor([[True, False, True, True, False, False], [False, True, True, False, True, True]])
    for item in (noise("L0.resid_post", 2.0), noise("L1.mlp", 2.0, tokens=mask), noise("L0.mlp", 3.0, phase="decode")):
        with intervene(model, [item]):
            together = model.generate(input_ids=ids, attention_mask=attention, **OPTIONS)
        for row, start in ((0, 2), (1, 0)):
            with intervene(model, [item], rows=torch.tensor([row])):
                alone = model.generate(input_ids=ids[[row], start:], **OPTIONS)
            assert torch.equal(together[row, 6:], alone[0, 6 - start :])


# ---- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dose", [float("nan"), float("inf"), (1.0, float("nan")), ()])
def test_a_dose_must_be_finite(dose):
    with pytest.raises(ConfigError, match="not a finite number"):
        noise("L0.mlp", dose)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(3, 7, dtype=torch.long), "int64"),
        (torch.ones(3, 7), "float32"),
        (torch.ones(7, dtype=torch.bool), "shape"),
        (torch.zeros(3, 7, dtype=torch.bool), "selects none of 21"),
    ],
)
def test_a_mask_must_be_boolean_and_select_something(mask, message):
    with pytest.raises(ConfigError, match=message):
        noise("L0.mlp", tokens=mask)


@pytest.mark.parametrize("name", CAUSAL[:2])
def test_what_the_architecture_lacks_is_named(name):
    model = tiny(name)
    for address in ("L7.mlp", "L0.H9", "encoder.L0.mlp", "L0.cross.z"):
        with pytest.raises(ComponentNotFound), intervene(model, [noise(address)]):
            pass
    for address in ("L0.pattern", "L0.gate", "hook_mlp_in"):
        with pytest.raises(ComponentNotFound):
            noise(address)


def test_a_wrong_width_is_named():
    model = tiny("gpt2")
    narrow = Intervention(site="L0.neurons", edit=Zero(within=Subspace.full(24)))
    with (
        pytest.raises(ConfigError, match=r"Zero of width 24 does not fit L0\.neurons, whose states have 96"),
        intervene(model, [narrow]),
    ):
        pass


def test_other_mistakes_are_named():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with pytest.raises(ConfigError, match="No interventions"), intervene(model, []):
        pass
    with (
        pytest.raises(ConfigError, match="2 doses were given for 3 rows"),
        intervene(model, [noise("L0.mlp", (1.0, 2.0))]),
    ):
        logits(model, kwargs)
    short = torch.ones(2, 7, dtype=torch.bool)
    with pytest.raises(ConfigError, match="has row 2"), intervene(model, [noise("L0.mlp", tokens=short)]):
        logits(model, kwargs)
    with pytest.raises(ConfigError, match="2 row ids"), intervene(model, [noise("L0.mlp")], rows=torch.arange(2)):
        logits(model, kwargs)
    full = {"input_ids": kwargs["input_ids"], "attention_mask": torch.ones(3, 1, 7, 7, dtype=torch.bool)}
    with pytest.raises(ConfigError, match="attention mask"), intervene(model, [noise("L0.mlp")]):
        logits(model, full)
