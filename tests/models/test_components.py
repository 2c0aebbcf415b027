import dataclasses
import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_families import CAUSAL, EVERY, attentions, inputs, logits, tiny
from torch.func import functional_call

from imprint.errors import ComponentNotFound, ContextTooLong, ModelError
from imprint.models.components import Anatomy, Component, check_context
from imprint.models.families import HeadShape, family_of, head_outputs
from imprint.models.hooks import ablate_heads, eager_attention, hooked, record


def all_heads(name, anatomy):
    return [head for stack, cross in attentions(name) for head in anatomy.heads(stack, cross=cross)]


def logits_without(model, head, roles, kwargs):
    """The logits of the model with these slices zeroed; the model is as it was afterwards."""
    slices = [part for role, part in Anatomy(model).head_slices(head).items() if role in roles]
    saved = [part.view(model) for part in slices]
    for part in slices:
        part.assign(model, torch.zeros_like(part.view(model)))
    try:
        return logits(model, kwargs)
    finally:
        for part, values in zip(slices, saved, strict=True):
            part.assign(model, values)


# ---- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "L3.H5",
        "L0.H0",
        "L12.mlp",
        "L3.neurons",
        "L3.resid_post",
        "L3.resid_pre",
        "L3.z",
        "L3.attn",
        "L3.pattern",
        "embed",
        "encoder.L1.H0",
        "decoder.L1.H0",
        "decoder.L1.cross.H0",
        "decoder.L1.cross.pattern",
        "decoder.embed",
    ],
)
def test_address_round_trip(address):
    assert str(Component.parse(address)) == address


def test_address_parts():
    assert Component.parse("decoder.L1.cross.H3") == Component(
        site="head", layer=1, head=3, stack="decoder", cross=True
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "L3",
        "H5",
        "L3H5",
        "L3.h5",
        "L03.H5",
        "L-1.H0",
        "L3.H5 ",
        "L3.H5\n",
        "L٣.H5",
        "x.L3.H5",
        "L1.cross.mlp",
        "L3.embed",
    ],
)
def test_bad_address_is_named(address):
    with pytest.raises(ComponentNotFound, match=r"."):
        Component.parse(address)


@given(st.text(alphabet="L03H5.crosenmlpbdz", max_size=12))
def test_parse_never_guesses(text):
    try:
        component = Component.parse(text)
    except ComponentNotFound:
        return
    assert str(component) == text


# ---- packing --------------------------------------------------------------------------------------------------------


def test_packing_by_hand():
    shape = HeadShape(num_heads=4, num_kv_heads=2, d_head=2)
    multi = HeadShape(num_heads=4, num_kv_heads=4, d_head=2)
    single = HeadShape(num_heads=4, num_kv_heads=1, d_head=2)
    assert head_outputs("separate", "q", 3, shape).tolist() == [6, 7]
    assert head_outputs("separate", "v", 3, shape).tolist() == [2, 3]
    assert head_outputs("concatenated", "k", 1, multi).tolist() == [10, 11]
    assert head_outputs("grouped", "k", 1, multi).tolist() == [8, 9]  # [head, 3, d_head]
    assert head_outputs("grouped", "q", 2, shape).tolist() == [8, 9]  # [kv, q q k v, d_head]
    assert head_outputs("grouped", "v", 0, shape).tolist() == [6, 7]
    assert head_outputs("grouped", "k", 2, single).tolist() == [8, 9]  # [q q q q k v, d_head]


@pytest.mark.parametrize("name", EVERY)
def test_heads_tile_every_projection(name):
    """Each output of q, k, v and each input of o belongs to exactly one head (or one group of heads)."""
    model = tiny(name)
    anatomy = Anatomy(model)
    for stack, cross in attentions(name):
        slices = [anatomy.head_slices(head) for head in anatomy.heads(stack, cross=cross) if head.layer == 0]
        for role in ("q", "k", "v", "o"):
            owners = {}
            for head, found in enumerate(slices):
                for index in found[role].index.tolist():
                    owners.setdefault((found[role].name, index), set()).add(head)
            groups = {frozenset({head, *found[role].shared_with}) for head, found in enumerate(slices)}
            assert {frozenset(heads) for heads in owners.values()} == groups
        used = torch.cat([found[role].index for found in slices for role in ("q", "k", "v")]).unique()
        width = anatomy.d_head * (anatomy.num_heads + 2 * anatomy.num_kv_heads)
        fused = slices[0]["q"].module is slices[0]["v"].module
        assert len(used) == (width if fused else anatomy.num_heads * anatomy.d_head)


# ---- AT-RP-6: parameters and activations are the same head ----------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_zeroed_output_slice_is_the_ablated_head(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    for head in all_heads(name, Anatomy(model)):
        with ablate_heads(model, [head]):
            ablated = logits(model, kwargs)
        torch.testing.assert_close(logits_without(model, head, ["o"], kwargs), ablated, rtol=0, atol=1e-6)
        assert (ablated - plain).abs().max() > 1e-3


@pytest.mark.parametrize("name", EVERY)
def test_zeroed_value_slice_is_the_ablated_group(name):
    model, kwargs = tiny(name), inputs(name)
    for head in all_heads(name, Anatomy(model)):
        numbers = (head.head, *Anatomy(model).head_slices(head)["v"].shared_with)
        with ablate_heads(model, [dataclasses.replace(head, head=number) for number in numbers]):
            ablated = logits(model, kwargs)
        torch.testing.assert_close(logits_without(model, head, ["v", "v_bias"], kwargs), ablated, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "falcon-rw"])
@pytest.mark.parametrize("role", ["q", "k", "v", "q_bias"])
def test_a_slice_moves_its_own_heads_and_no_others(name, role):
    for stack, cross in attentions(name):
        for number in (0, 1, 3):
            model = tiny(name)
            if name == "olmo2":  # normalises queries and keys over all heads together
                for block in model.model.layers:
                    block.self_attn.q_norm, block.self_attn.k_norm = torch.nn.Identity(), torch.nn.Identity()
            head = Component(site="head", layer=1, head=number, stack=stack, cross=cross)
            slices = Anatomy(model).head_slices(head)
            if role not in slices:
                continue
            patterns, values = observe(model, head, inputs(name))
            slices[role].assign(model, slices[role].view(model) + 0.5 * torch.rand_like(slices[role].view(model)))
            new_patterns, new_values = observe(model, head, inputs(name))
            group = {number, *slices[role].shared_with}
            assert moved(values, new_values) == group
            assert moved(patterns, new_patterns) == (set() if role == "v" else group)


@pytest.mark.parametrize("name", EVERY)
def test_queries_act_where_they_are_asked_and_keys_and_values_wherever_they_are_read(name):
    model, kwargs = tiny(name), inputs(name)
    for stack, cross in attentions(name):
        head = Component(site="head", layer=1, head=3, stack=stack, cross=cross)
        slices = Anatomy(model).head_slices(head)
        with record(model, [head]) as before:
            logits(model, kwargs)
        positions = {}
        for role in ("q", "k", "v"):
            edit = functools.partial(raise_one_position, index=slices[role].index)
            with hooked(model, [(slices[role].module, "post", edit)]), record(model, [head]) as after:
                logits(model, kwargs)
            change = (before[str(head)] - after[str(head)]).abs().amax((0, 2))
            positions[role] = set(change.gt(1e-9).nonzero().flatten().tolist())
        assert positions["q"] == {2}
        assert positions["k"] >= {3, 4}
        assert positions["v"] >= {2, 3, 4}


def raise_one_position(tensor, index):
    edited = tensor.clone()
    edited[:, 2, index] += torch.linspace(0.5, 1.5, len(index), dtype=tensor.dtype)
    return edited


def observe(model, head, kwargs):
    """Pattern and z of every head of a layer, with the heads on axis 1."""
    sites = [Component(site=site, layer=head.layer, stack=head.stack, cross=head.cross) for site in ("pattern", "z")]
    with eager_attention(model), record(model, sites) as states:
        logits(model, kwargs)
    z = states[str(sites[1])]
    return states[str(sites[0])], z.unflatten(-1, (4, -1)).transpose(1, 2)


def moved(before, after):
    return set((before - after).abs().amax((0, 2, 3)).gt(1e-9).nonzero().flatten().tolist())


# ---- AT-MDA-2: gradients of a slice ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_gradient_of_slices_is_that_of_a_model_with_only_these_parameters(name):
    model, kwargs = tiny(name), inputs(name)
    for stack, cross in attentions(name):
        head = Component(site="head", layer=1, head=2, stack=stack, cross=cross)
        slices = Anatomy(model).head_slices(head)
        model.zero_grad()
        score(model(**kwargs).logits).backward()
        leaves = {role: part.view(model).requires_grad_() for role, part in slices.items()}
        weights = {key: value.detach().clone() for key, value in model.named_parameters()}
        for role, part in slices.items():
            weights[part.name] = weights[part.name].index_copy(part.dim, part.index, leaves[role])
        score(functional_call(model, weights, kwargs=kwargs, args=()).logits).backward()
        for role, part in slices.items():
            whole = part.of(model.get_parameter(part.name).grad)
            torch.testing.assert_close(whole, leaves[role].grad, rtol=1e-6, atol=1e-9)
            assert whole.abs().max() > 0 or role == "k_bias"  # a key bias shifts all scores of a query alike


@pytest.mark.parametrize("name", EVERY)
def test_gradient_matrix_is_the_sum_of_outer_products(name):
    """`index` cuts the activations of `module` as it cuts the weight: outputs for q, k, v and inputs for o."""
    model, kwargs = tiny(name), inputs(name)
    for stack, cross in attentions(name):
        slices = Anatomy(model).head_slices(Component(site="head", layer=1, head=3, stack=stack, cross=cross))
        seen, hooks = {}, []
        for module in {slices[role].module for role in ("q", "k", "v", "o")}:
            hooks.append((module, "pre", functools.partial(keep, seen, (module, "in"))))
            hooks.append((module, "post", functools.partial(keep, seen, (module, "out"))))
        with hooked(model, hooks):
            model.zero_grad()
            score(model(**kwargs).logits).backward()
        for role in ("q", "k", "v", "o"):
            part = slices[role]
            x, g = seen[part.module, "in"], seen[part.module, "out"].grad
            x, g = (x[..., part.index], g) if role == "o" else (x, g[..., part.index])
            expected = torch.einsum("bto,bti->oi", g, x)
            gradient = part.matrix(model.get_parameter(part.name).grad)
            torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


def score(values):
    return (values * torch.linspace(-1, 1, values.numel(), dtype=values.dtype).reshape(values.shape)).sum()


def keep(seen, key, tensor):
    tensor.retain_grad()
    seen[key] = tensor


def test_slice_reads_and_writes_only_itself():
    model = tiny("gpt2")
    part = Anatomy(model).head_slices("L1.H2")["k"]
    before = model.transformer.h[1].attn.c_attn.weight.detach().clone()
    assert part.name == "transformer.h.1.attn.c_attn.weight"
    assert (part.dim, part.transposed, part.index.tolist()) == (1, True, list(range(36, 42)))
    assert part.matrix(before).shape == (6, 24)
    values = torch.randn(24, 6, dtype=torch.float64)
    part.assign(model, values)
    after = model.transformer.h[1].attn.c_attn.weight
    assert torch.equal(part.view(model), values)
    assert torch.equal(after[:, 36:42], values)
    assert torch.equal(after[:, :36], before[:, :36])
    assert torch.equal(after[:, 42:], before[:, 42:])
    assert after.requires_grad
    assert not part.view(model).requires_grad


def test_grouped_heads_say_with_whom_they_share():
    slices = Anatomy(tiny("llama")).head_slices("L0.H2")
    assert slices["q"].shared_with == slices["o"].shared_with == ()
    assert slices["k"].shared_with == slices["v_bias"].shared_with == (3,)
    assert Anatomy(tiny("falcon-7b")).head_slices("L0.H2")["v"].shared_with == (0, 1, 3)
    assert Anatomy(tiny("gpt_neox")).head_slices("L0.H2")["v"].shared_with == ()


# ---- anatomy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSAL)
def test_final_norm_and_unembedding_turn_the_last_residual_into_logits(name):
    model, kwargs = tiny(name), inputs(name)
    anatomy = Anatomy(model)
    with record(model, ["L1.resid_post"]) as states:
        expected = logits(model, kwargs)
    residual = states["L1.resid_post"]
    torch.testing.assert_close(anatomy.unembedding()(anatomy.final_norm()(residual)), expected, rtol=0, atol=1e-10)
    assert not torch.allclose(anatomy.unembedding()(residual), expected)


def test_t5_final_norm_and_embeddings():
    model, kwargs = tiny("t5"), inputs("t5")
    anatomy = Anatomy(model)
    with record(model, ["decoder.L2.resid_post", "encoder.embed", "decoder.embed"]) as states:
        expected = logits(model, kwargs)
    last = anatomy.final_norm("decoder")(states["decoder.L2.resid_post"])
    torch.testing.assert_close(anatomy.unembedding()(last), expected, rtol=0, atol=1e-10)
    assert torch.equal(states["encoder.embed"], model.encoder.embed_tokens(kwargs["input_ids"]))
    assert torch.equal(states["decoder.embed"], model.decoder.embed_tokens(kwargs["decoder_input_ids"]))


def test_sizes():
    anatomy = Anatomy(tiny("mistral"))
    assert (anatomy.num_layers, anatomy.num_heads, anatomy.num_kv_heads) == (2, 4, 2)
    assert (anatomy.d_model, anatomy.d_head, anatomy.context_length) == (24, 8, 16)
    t5 = Anatomy(tiny("t5"))
    assert (t5.stacks, t5.num_layers, len(t5.layers("encoder"))) == (("encoder", "decoder"), 3, 2)
    assert (t5.d_head, t5.context_length) == (5, None)
    assert [Anatomy(tiny(name)).num_kv_heads for name in ("falcon-rw", "falcon-7b", "falcon-40b")] == [4, 1, 2]
    assert [str(head) for head in anatomy.heads()][:5] == ["L0.H0", "L0.H1", "L0.H2", "L0.H3", "L1.H0"]


def test_a_base_model_without_head_has_heads_too():
    model = tiny("gpt2").transformer
    assert Anatomy(model).head_slices("L0.H1")["o"].name == "h.0.attn.c_proj.weight"
    with pytest.raises(ModelError, match="no unembedding"):
        Anatomy(model).unembedding()


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [
        ("gpt2", "L2.H0", "layers 0 to 1"),
        ("gpt2", "L0.H4", "heads 0 to 3"),
        ("gpt2", "L0.cross.H0", "has none"),
        ("gpt2", "encoder.L0.H0", "leave the stack out"),
        ("t5", "L0.H0", "encoder or decoder"),
        ("t5", "encoder.L0.cross.H0", "the encoder has none"),
        ("t5", "encoder.L2.H0", "the encoder has layers 0 to 1"),
        ("gpt2", "L0.mlp", "is not a head"),
        ("gpt2", "embed", "is not a head"),
    ],
)
def test_absent_components_say_what_there_is(name, address, message):
    with pytest.raises(ComponentNotFound, match=message):
        Anatomy(tiny(name)).head_slices(address)


def test_unknown_family_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"'mamba'.*gpt2, gpt_neox"):
        family_of("mamba")


def test_bert_has_no_final_norm():
    with pytest.raises(ModelError, match="no final norm"):
        Anatomy(tiny("bert")).final_norm()


def test_context_is_checked():
    check_context(tiny("gpt2"), 16)
    with pytest.raises(ContextTooLong, match="17 tokens is longer than the model's context of 16"):
        check_context(tiny("gpt2"), 17)
    check_context(tiny("t5"), 10_000)
    check_context(tiny("falcon-rw"), 10_000)  # alibi
