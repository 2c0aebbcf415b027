import pytest
import torch
from tiny_families import CAUSAL, EVERY, inputs, logits, tiny

from imprint.errors import ComponentNotFound, ConfigError, InterventionNeverFired, ModelError
from imprint.models import Anatomy, hooked, record
from imprint.models.prefix import depth, depth_of, prefix_states, prefixes, resumed


def padded(name):
    """A batch with padding on the left, which masks and positions must survive."""
    kwargs = inputs(name)
    mask = torch.ones_like(kwargs["input_ids"])
    mask[0, :3] = 0
    return (
        kwargs | {"attention_mask": mask, "use_cache": False} if name != "bert" else kwargs | {"attention_mask": mask}
    )


@pytest.mark.parametrize("name", EVERY)
def test_resumed_logits_are_the_full_pass_at_every_layer(name):
    model, kwargs = tiny(name).float(), padded(name)
    plain = logits(model, kwargs)
    blocks = list(model.modules())
    for layer in range(depth(model) + 1):
        states = prefix_states(model, layer, kwargs)
        kept = [
            output.clone() if isinstance(output, torch.Tensor) else output[0].clone()
            for output in states.outputs.values()
        ]
        with resumed(model, layer, states):
            torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=1e-5)
            torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=1e-5)
        now = [output if isinstance(output, torch.Tensor) else output[0] for output in states.outputs.values()]
        assert all(torch.equal(old, new) for old, new in zip(kept, now, strict=True))
        assert all(old is new for old, new in zip(blocks, model.modules(), strict=True))
    assert torch.equal(logits(model, kwargs), plain)


@pytest.mark.parametrize("name", EVERY)
def test_the_states_do_enter(name):
    """A mutation: other states must give other logits, or the blocks below were not skipped at all."""
    model, kwargs = tiny(name), padded(name)
    plain = logits(model, kwargs)
    states = prefix_states(model, depth(model) - 1, kwargs)
    other = prefix_states(model, depth(model) - 1, kwargs | {"input_ids": kwargs["input_ids"].flip(0)})
    with resumed(model, states.layer, other):
        assert (logits(model, kwargs) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("name", EVERY)
def test_skipped_blocks_do_not_run(name):
    model, kwargs = tiny(name), inputs(name)
    ran = []
    anatomy = Anatomy(model)
    stack = anatomy.stacks[-1]
    handles = [
        anatomy.mlp(layer, stack).register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer in range(anatomy.num_layers)
    ]
    states = prefix_states(model, depth(model) - 1, kwargs)
    assert ran == list(range(anatomy.num_layers - 1))
    ran.clear()
    with resumed(model, states.layer, states):
        logits(model, kwargs)
    assert ran == [anatomy.num_layers - 1]
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("name", EVERY)
def test_tiled_states_serve_a_batch_repeated(name):
    model, kwargs = tiny(name), inputs(name)
    plain = logits(model, kwargs)
    layer = depth(model) - 1
    twice = {key: value.repeat(2, 1) for key, value in kwargs.items()}
    with resumed(model, layer, prefix_states(model, layer, kwargs).tile(2)):
        torch.testing.assert_close(logits(model, twice), plain.repeat(2, 1, 1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("order", ["hook inside", "hook outside"])
def test_the_output_of_the_last_skipped_block_can_be_edited(name, order):
    """Also the very last residual stream, after which no block runs; the edit is made once, whichever came first."""
    model, kwargs = tiny(name), inputs(name)
    anatomy = Anatomy(model)
    stack = anatomy.stacks[-1]
    block, layer = anatomy.block(anatomy.num_layers - 1, stack), depth(model)
    edit = torch.linspace(-3, 3, 24, dtype=torch.float64)
    with hooked(model, [(block, "post", lambda h: h + edit)]):
        wanted = logits(model, kwargs)
    states = prefix_states(model, layer, kwargs)
    if order == "hook inside":
        with resumed(model, layer, states):
            inside = anatomy.block(anatomy.num_layers - 1, stack)
            with hooked(model, [(inside, "post", lambda h: h + edit)]):
                found = logits(model, kwargs)
    else:
        with hooked(model, [(block, "post", lambda h: h + edit)]):
            states = prefix_states(model, layer, kwargs)
            with resumed(model, layer, states):
                found = logits(model, kwargs)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    assert not block._forward_hooks


@pytest.mark.parametrize("name", CAUSAL)
def test_a_skipped_block_cannot_be_read(name):
    model, kwargs = tiny(name), inputs(name)
    states = prefix_states(model, 2, kwargs)
    with resumed(model, 2, states):
        for site in ("L0.resid_post", "L0.resid_pre", "L1.resid_pre", "L1.mlp", "L0.z"):
            with pytest.raises(ModelError), record(model, [site]):
                logits(model, kwargs)
        with record(model, ["L1.resid_post"]) as seen:
            logits(model, kwargs)
    assert torch.equal(seen["L1.resid_post"], states.hidden)
    with pytest.raises(InterventionNeverFired), record(model, ["L0.resid_post"]), resumed(model, 2, states):
        logits(model, kwargs)


def test_a_model_in_training_is_recorded_and_resumed_without_dropout():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    plain = logits(model, kwargs)
    model.train()
    states = prefix_states(model, 1, kwargs)
    with resumed(model, 1, states):
        torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=1e-10)
    assert all(module.training for module in model.modules())


def test_blocks_are_given_back_after_an_exception():
    model, kwargs = tiny("t5"), inputs("t5")
    modules = list(model.modules())
    states = prefix_states(model, 3, kwargs)
    with pytest.raises(KeyError), resumed(model, 3, states):
        raise KeyError
    assert all(old is new for old, new in zip(modules, model.modules(), strict=True))


def test_gradients_flow_above_the_states():
    model, kwargs = tiny("llama"), inputs("llama")
    states = prefix_states(model, 1, kwargs)
    with resumed(model, 1, states):
        model(**kwargs).logits.sum().backward()
    assert model.model.layers[0].mlp.up_proj.weight.grad is None
    assert model.model.layers[1].mlp.up_proj.weight.grad.abs().sum() > 0
    assert not states.hidden.requires_grad


def test_attributes_of_a_skipped_block_are_those_of_the_original():
    model, kwargs = tiny("qwen2"), inputs("qwen2")
    with resumed(model, 1, prefix_states(model, 1, kwargs)):
        assert model.model.layers[0].self_attn.layer_idx == 0
        assert model.model.layers[0].hidden_size == 24
        with pytest.raises(AttributeError):
            _ = model.model.layers[0].nonsense


def test_several_layers_from_one_pass():
    model, kwargs = tiny("t5"), inputs("t5")
    many = prefixes(model, [0, 2, 4, 5], kwargs)
    assert list(many) == [0, 2, 4, 5]
    for layer in (2, 4, 5):
        assert torch.equal(many[layer].hidden, prefix_states(model, layer, kwargs).hidden)
    with record(model, ["encoder.L1.resid_post", "decoder.L1.resid_post"]) as states:
        logits(model, kwargs)
    assert torch.equal(many[2].hidden, states["encoder.L1.resid_post"])
    assert torch.equal(many[4].hidden, states["decoder.L1.resid_post"])


@pytest.mark.parametrize(
    ("name", "site", "expected"),
    [
        ("gpt2", "embed", 0),
        ("gpt2", "L0.resid_pre", 0),
        ("gpt2", "L1.H2", 1),
        ("gpt2", "L0.resid_post", 1),
        ("gpt2", "L1.resid_post", 2),
        ("t5", "encoder.L1.mlp", 1),
        ("t5", "encoder.L1.resid_post", 2),
        ("t5", "decoder.L0.cross.z", 2),
        ("t5", "decoder.L2.neurons", 4),
        ("t5", "decoder.L2.resid_post", 5),
    ],
)
def test_depth_of_a_component(name, site, expected):
    assert depth_of(tiny(name), site) == expected


def test_bad_requests_are_named():
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    states = prefix_states(model, 1, kwargs)
    with pytest.raises(ComponentNotFound, match="layers 0 to 2"):
        prefix_states(model, 3, kwargs)
    with pytest.raises(ConfigError, match="enter at layer 1"), resumed(model, 2, states):
        pass
    with pytest.raises(ModelError, match=r"\(3, 7\), the forward pass is of \(2, 7\)"), resumed(model, 1, states):
        logits(model, {"input_ids": kwargs["input_ids"][:2]})
    with pytest.raises(ConfigError, match="layer 0"):
        _ = prefix_states(model, 0, kwargs).hidden
