import pytest
import torch
from tiny_families import CAUSAL, EVERY, attentions, inputs, logits, tiny

from imprint.errors import ComponentNotFound, ConfigError, ContextTooLong, InterventionNeverFired, ModelError
from imprint.models.components import Anatomy
from imprint.models.hooks import ablate_heads, attention_patterns, eager_attention, head_means, hooked, place, record


def stacks(name):
    return list(dict.fromkeys(stack for stack, _ in attentions(name)))


def every_site(model, name):
    anatomy = Anatomy(model)
    for stack, cross in attentions(name):
        for layer in range(len(anatomy.layers(stack))):
            yield anatomy.block(layer, stack)
            yield anatomy.attention(layer, stack, cross=cross)
            yield anatomy.out_projection(layer, stack, cross=cross)
            yield anatomy.mlp(layer, stack)


def count_hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


# ---- AT-RP-1 and AT-RP-2 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_hooks_that_change_nothing_leave_the_logits_bit_identical(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    fired = []
    hooks = [
        (module, edge, function)
        for module in every_site(model, name)
        for edge in ("pre", "post")
        for function in (fired.append, lambda tensor: tensor)
    ]
    with hooked(model, hooks):
        assert torch.equal(logits(model, kwargs), plain)
    assert len(fired) == len(hooks) // 2
    assert count_hooks(model) == 0


@pytest.mark.parametrize("name", EVERY)
def test_recording_leaves_the_logits_bit_identical(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    sites = [f"{stack}.L1.{site}".lstrip(".") for stack in stacks(name) for site in ("z", "attn", "mlp", "resid_post")]
    with record(model, sites):
        assert torch.equal(logits(model, kwargs), plain)


def test_hooks_are_removed_after_an_exception_and_other_peoples_stay():
    model, kwargs = tiny("llama"), inputs("llama")
    plain = logits(model, kwargs)
    calls = []
    block = Anatomy(model).block(0)
    theirs = block.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(ZeroDivisionError), hooked(model, [(block, "post", lambda _: 1 / 0)]):
        logits(model, kwargs)
    with pytest.raises(KeyError), ablate_heads(model, ["L0.H0"]), record(model, ["L0.z"]):
        raise KeyError
    assert count_hooks(model) == 1
    assert torch.equal(logits(model, kwargs), plain)
    assert calls == [1, 1]
    theirs.remove()


def test_hooks_are_removed_when_one_cannot_be_attached():
    model = tiny("gpt2")
    with (
        pytest.raises(ModelError, match="not part of"),
        hooked(model, [(tiny("gpt2").lm_head, "post", torch.zeros_like)]),
    ):
        pass
    assert count_hooks(model) == 0


# ---- METHODS section 10, row 1: every row of the batch --------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_an_edit_reaches_every_row_whether_the_module_returns_a_tensor_or_a_tuple(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    for module in every_site(model, name):
        with hooked(model, [(module, "post", torch.zeros_like)]):
            changed = (logits(model, kwargs) - plain).abs().amax((1, 2))
        assert changed.min() > 1e-6, type(module).__name__


@pytest.mark.parametrize("name", EVERY)
def test_ablation_does_not_depend_on_the_batch(name):
    model, kwargs = tiny(name), inputs(name)
    head = f"{stacks(name)[-1]}.L0.H1".lstrip(".")
    with ablate_heads(model, [head]):
        together = logits(model, kwargs)
        apart = torch.cat([logits(model, {key: value[[row]] for key, value in kwargs.items()}) for row in range(3)])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-10)


def test_an_input_given_by_keyword_is_edited_too():
    model, kwargs = tiny("llama"), inputs("llama")
    attention = Anatomy(model).attention(0)
    with hooked(model, [(attention, "pre", torch.zeros_like)]):
        edited = logits(model, kwargs)
    with hooked(model, [(model.model.layers[0].input_layernorm, "post", torch.zeros_like)]):
        assert torch.equal(edited, logits(model, kwargs))


@pytest.mark.parametrize("edge", ["pre", "post"])
def test_writing_in_place_is_refused(edge):
    model, kwargs = tiny("gptj"), inputs("gptj")
    with (
        pytest.raises(ModelError, match="in place"),
        hooked(model, [(Anatomy(model).block(1), edge, lambda tensor: tensor.mul_(2))]),
    ):
        logits(model, kwargs)


def test_inference_mode_works():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    expected = logits(model, kwargs)
    with torch.inference_mode(), record(model, ["L0.z"]):
        assert torch.equal(model(**kwargs).logits, expected)


# ---- recording ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CAUSAL if name != "olmo2"])
def test_attention_and_mlp_add_up_to_the_residual_stream(name):
    """Falcon adds into the MLP's output in place afterwards; a reference instead of a copy would fail here."""
    model = tiny(name)
    with record(model, ["L0.resid_post", "L1.resid_pre", "L1.attn", "L1.mlp", "L1.resid_post"]) as states:
        logits(model, inputs(name))
    assert torch.equal(states["L0.resid_post"], states["L1.resid_pre"])
    total = states["L1.resid_pre"] + states["L1.attn"] + states["L1.mlp"]
    torch.testing.assert_close(total, states["L1.resid_post"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", EVERY)
def test_z_is_the_input_of_the_out_projection(name):
    model = tiny(name)
    anatomy = Anatomy(model)
    for stack, cross in attentions(name):
        prefix = ".".join(part for part in (stack, "L1", "cross" if cross else "") if part)
        with record(model, [f"{prefix}.z", f"{prefix}.H2", f"{prefix}.attn"]) as states:
            logits(model, inputs(name))
        z = states[f"{prefix}.z"]
        assert z.shape[-1] == 4 * anatomy.d_head
        assert torch.equal(z[..., 2 * anatomy.d_head : 3 * anatomy.d_head], states[f"{prefix}.H2"])
        with torch.no_grad():
            out = anatomy.out_projection(1, stack, cross=cross)(z)
        assert torch.equal(out, states[f"{prefix}.attn"])


@pytest.mark.parametrize("name", EVERY)
def test_neurons_are_the_input_of_the_down_projection(name):
    model, anatomy = tiny(name), Anatomy(tiny(name))
    for stack in stacks(name):
        site = f"{stack}.L1.".lstrip(".")
        with record(model, [f"{site}neurons", f"{site}mlp"]) as states:
            logits(model, inputs(name))
        assert states[f"{site}neurons"].shape[-1] == anatomy.width(f"{site}neurons") != anatomy.d_model
        with torch.no_grad():
            out = Anatomy(model).down_projection(1, stack)(states[f"{site}neurons"])
        torch.testing.assert_close(out, states[f"{site}mlp"], rtol=0, atol=1e-12)
        assert anatomy.width(f"{site}H0") * 4 == anatomy.width(f"{site}z")


def test_a_pattern_cannot_be_edited_and_has_no_width():
    anatomy = Anatomy(tiny("gpt2"))
    with pytest.raises(ComponentNotFound, match=r"edit L0\.z"):
        place(anatomy, anatomy.find("L0.pattern"))
    with pytest.raises(ComponentNotFound, match="no width"):
        anatomy.width("L0.pattern")


def test_the_last_residual_is_before_the_final_norm():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with record(model, ["L0.resid_post", "L1.resid_post"]) as states:
        official = model(**kwargs, output_hidden_states=True).hidden_states
    assert torch.equal(states["L0.resid_post"], official[1])
    assert not torch.allclose(states["L1.resid_post"], official[2])
    assert torch.equal(model.transformer.ln_f(states["L1.resid_post"]), official[2])


def test_records_are_copies_without_a_graph():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with record(model, ["embed"]) as states:
        model(**kwargs)
    assert not states["embed"].requires_grad
    states["embed"].zero_()
    assert model.transformer.wte.weight.abs().sum() > 0


def test_a_record_without_a_forward_pass_is_an_error():
    with pytest.raises(InterventionNeverFired, match=r"L1\.z"), record(tiny("gpt2"), ["L1.z"]):
        pass


# ---- attention patterns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("t5", "falcon-rw")])
def test_patterns_are_those_of_the_model_and_the_model_is_left_as_it_was(name):
    model, kwargs = tiny(name), inputs(name)
    model.train()
    model.base_model.eval()
    modes = [module.training for module in model.modules()]
    before = model.config._attn_implementation
    patterns = attention_patterns(model, kwargs["input_ids"])
    assert patterns.shape == (2, 3, 4, 7, 7)
    torch.testing.assert_close(patterns.sum(-1), torch.ones(2, 3, 4, 7, dtype=torch.float64), rtol=0, atol=1e-6)
    assert bool((patterns.triu(1) == 0).all()) == (name != "bert")
    assert model.config._attn_implementation == before
    assert [module.training for module in model.modules()] == modes
    assert count_hooks(model) == 0
    model.eval()
    with eager_attention(model), torch.no_grad():
        official = model(**kwargs, output_attentions=True).attentions
    assert torch.equal(patterns, torch.stack(official))


@pytest.mark.parametrize("name", [name for name in EVERY if name != "falcon-rw"])
def test_eager_attention_computes_the_same_logits(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    with eager_attention(model):  # some families take the softmax in single precision
        torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=1e-5)
    assert torch.equal(logits(model, kwargs), plain)


def test_falcon_with_alibi_is_refused_because_its_eager_attention_is_another_model():
    model, kwargs = tiny("falcon-rw"), inputs("falcon-rw")
    plain = logits(model, kwargs)
    with pytest.raises(ModelError, match="position bias twice"):
        attention_patterns(model, kwargs["input_ids"])
    model.config._attn_implementation = "eager"
    assert (logits(model, kwargs) - plain).abs().max() > 0.1  # if this fails, transformers is mended: lift the refusal


def test_eager_attention_is_undone_after_an_exception():
    model = tiny("t5")
    with eager_attention(model):
        assert model.decoder.config._attn_implementation == "eager"
    with pytest.raises(KeyError), eager_attention(model):
        raise KeyError
    assert {model.config._attn_implementation, model.decoder.config._attn_implementation} == {"sdpa"}


def test_fused_attention_gives_no_pattern_and_says_so():
    model = tiny("llama")
    assert model.config._attn_implementation == "sdpa"
    with pytest.raises(ModelError, match="eager_attention"), record(model, ["L0.pattern"]):
        logits(model, inputs("llama"))
    assert count_hooks(model) == 0


def test_t5_patterns_of_all_three_kinds():
    model, kwargs = tiny("t5"), inputs("t5")
    sites = ["encoder.L1.pattern", "decoder.L2.pattern", "decoder.L0.cross.pattern"]
    with eager_attention(model), torch.no_grad(), record(model, sites) as states:
        official = model(**kwargs, output_attentions=True)
    assert torch.equal(states[sites[0]], official.encoder_attentions[1])
    assert torch.equal(states[sites[1]], official.decoder_attentions[2])
    assert torch.equal(states[sites[2]], official.cross_attentions[0])
    assert states[sites[2]].shape == (3, 4, 5, 7)
    with pytest.raises(ModelError, match="three kinds"):
        attention_patterns(model, kwargs["input_ids"])


def test_masked_positions_are_not_read():
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[:, 5:] = 0
    patterns = attention_patterns(tiny("bert"), inputs("bert")["input_ids"], mask)
    assert patterns[..., 5:].abs().max() == 0


def test_patterns_beyond_the_context_are_refused():
    with pytest.raises(ContextTooLong):
        attention_patterns(tiny("gpt2"), torch.zeros(1, 17, dtype=torch.long))


# ---- ablation -------------------------------------------------------------------------------------------------------


def test_ablation_counts_and_leaves_the_model_alone():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    model.transformer.h[0].attn.c_attn.weight.requires_grad_(False)
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    with ablate_heads(model, ["L0.H1", "L0.H2", "L1.H0"]) as ablation:
        logits(model, kwargs)
        logits(model, kwargs)
    assert ablation.fires == {"L0.H1": 2, "L0.H2": 2, "L1.H0": 2}
    assert ablation.changed == 2 * 3 * (3 * 7 * 6)
    model.train()
    with ablate_heads(model, ["L0.H1"]):
        logits(model, kwargs)
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))
    assert all(module.training for module in model.modules())


def test_ablation_of_several_heads_is_the_model_without_them():
    model, edited, kwargs = tiny("gpt_neox"), tiny("gpt_neox"), inputs("gpt_neox")
    heads = ["L0.H1", "L0.H3", "L1.H0"]
    for head in heads:
        part = Anatomy(edited).head_slices(head)["o"]
        part.assign(edited, torch.zeros_like(part.view(edited)))
    with ablate_heads(model, heads):
        torch.testing.assert_close(logits(model, kwargs), logits(edited, kwargs), rtol=0, atol=1e-10)


def test_an_ablation_that_never_ran_is_an_error():
    model = tiny("gpt2")
    with pytest.raises(InterventionNeverFired, match=r"L1\.H0"), ablate_heads(model, ["L1.H0"]):
        pass
    encoder_only = tiny("t5")
    with (
        pytest.raises(InterventionNeverFired, match=r"decoder\.L0\.H0"),
        ablate_heads(encoder_only, ["encoder.L0.H0", "decoder.L0.H0"]),
    ):
        encoder_only.encoder(input_ids=inputs("t5")["input_ids"])


def test_an_ablation_of_nothing_is_an_error():
    with pytest.raises(ConfigError, match="No heads"), ablate_heads(tiny("gpt2"), []):
        pass


def test_a_silent_head_fires_and_changes_nothing():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    slices = Anatomy(model).head_slices("L0.H1")
    for role in ("v", "v_bias"):
        slices[role].assign(model, torch.zeros_like(slices[role].view(model)))
    plain = logits(model, kwargs)
    with ablate_heads(model, ["L0.H1"]) as ablation:
        assert torch.equal(logits(model, kwargs), plain)
    assert (ablation.fires["L0.H1"], ablation.changed) == (1, 0)


@pytest.mark.parametrize("name", ["gpt2", "llama", "falcon-40b", "t5"])
def test_the_mean_of_one_token_is_that_token(name):
    model = tiny(name)
    kwargs = {key: value[:1, :1] for key, value in inputs(name).items()}
    head = f"{stacks(name)[-1]}.L1.H3".lstrip(".")
    means = head_means(model, [head], [kwargs])
    assert means[head].shape == (Anatomy(model).d_head,)
    plain = logits(model, kwargs)
    with ablate_heads(model, [head], mode="mean", mean=means):
        torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=1e-12)
    with ablate_heads(model, [head]):
        assert (logits(model, kwargs) - plain).abs().max() > 1e-4


def test_means_pool_tokens_over_batches_and_skip_padding():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with record(model, ["L1.H2"]) as states:
        logits(model, kwargs)
    z = states["L1.H2"]
    whole = head_means(model, ["L1.H2"], [kwargs])["L1.H2"]
    torch.testing.assert_close(whole, z.mean((0, 1)))
    uneven = [{"input_ids": kwargs["input_ids"][:1]}, {"input_ids": kwargs["input_ids"][1:]}]
    torch.testing.assert_close(head_means(model, ["L1.H2"], uneven)["L1.H2"], whole)
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[0, 4:] = 0
    padded = head_means(model, ["L1.H2"], [kwargs | {"attention_mask": mask}])["L1.H2"]
    torch.testing.assert_close(padded, z[mask.bool()].mean(0))
    assert not torch.allclose(padded, whole)


def test_means_do_not_see_dropout():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    expected = head_means(model, ["L1.H2"], [kwargs])["L1.H2"]
    model.train()
    assert torch.equal(head_means(model, ["L1.H2"], [kwargs])["L1.H2"], expected)
    assert model.training


def test_missing_means_are_errors():
    model = tiny("gpt2")
    with pytest.raises(ConfigError, match="head_means"), ablate_heads(model, ["L0.H0"], mode="mean"):
        pass
    with pytest.raises(ConfigError, match="at least one token"):
        head_means(model, ["L0.H0"], [])


def test_gradients_flow_through_an_ablation():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with ablate_heads(model, ["L1.H0"]):
        model(**kwargs).logits.sum().backward()
    slices = Anatomy(model).head_slices("L1.H0"), Anatomy(model).head_slices("L1.H1")
    gradient = model.transformer.h[1].attn.c_proj.weight.grad
    assert slices[0]["o"].of(gradient).abs().max() == 0
    assert slices[1]["o"].of(gradient).abs().max() > 0
