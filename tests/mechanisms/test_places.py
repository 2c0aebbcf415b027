import pytest
import torch
from tiny_families import EVERY, attentions, inputs, logits, tiny

from imprint.errors import ComponentNotFound, ConfigError
from imprint.mechanisms import Mediator, head_mediators, neuron_mediators, place_of
from imprint.mechanisms.places import reading, replacing
from imprint.models import Anatomy, ablate_heads, hooked, record

SITES = ("L1.z", "L1.H2", "L1.attn", "L1.mlp", "L1.neurons", "L1.resid_pre", "L1.resid_post", "embed")


def place(model, site, *dims):
    return place_of(Anatomy(model), Mediator(site=site, dims=dims))


def stack_of(name):
    return "decoder." if name == "t5" else ""


@pytest.mark.parametrize("name", EVERY)
def test_reading_agrees_with_record_in_every_family(name):
    model, kwargs, seen = tiny(name), inputs(name), {}
    sites = [stack_of(name) + site for site in SITES]
    with record(model, sites) as states, hooked(model, reading({site: place(model, site) for site in sites}, seen)):
        logits(model, kwargs)
    for site in sites:
        torch.testing.assert_close(seen[site], states[site], rtol=0, atol=0)


@pytest.mark.parametrize("name", EVERY)
def test_replacing_a_head_by_zero_is_the_ablation_and_by_itself_nothing(name):
    model, kwargs, seen = tiny(name), inputs(name), {}
    site = stack_of(name) + "L1.H2"
    spot, plain = place(model, site), logits(model, kwargs)
    with hooked(model, reading({site: spot}, seen)):
        logits(model, kwargs)
    with hooked(model, [replacing(spot, seen[site])]):
        torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=0)
    with ablate_heads(model, [site]):
        ablated = logits(model, kwargs)
    with hooked(model, [replacing(spot, torch.zeros_like(seen[site]))]):
        torch.testing.assert_close(logits(model, kwargs), ablated, rtol=0, atol=0)
    assert (ablated - plain).abs().max() > 1e-4


def test_dims_and_positions_are_edited_and_nothing_else():
    model = tiny("gpt2")
    spot, tensor = place(model, "L0.H1", 2, 0), torch.arange(48.0).reshape(1, 2, 24)
    assert spot.of(tensor).tolist() == [[[8, 6], [32, 30]]]
    put = spot.put(tensor, torch.tensor([[[-1.0, -2.0], [-3.0, -4.0]]]), torch.tensor([[False, True]]))
    changed = (put != tensor).nonzero().tolist()
    assert changed == [[0, 1, 6], [0, 1, 8]]
    assert (put[0, 1, 8], put[0, 1, 6]) == (-3, -4)
    assert tensor[0, 1, 8] == 32  # out of place


def test_mediators_have_names():
    model = tiny("gpt2")
    assert [str(one) for one in head_mediators(model)][:2] == ["L0.H0", "L0.H1"]
    assert len(head_mediators(model)) == 8
    assert [str(one) for one in neuron_mediators(model, "L1.mlp", [3, 5])] == ["L1.mlp[3]", "L1.mlp[5]"]
    assert len(neuron_mediators(model, "L1.neurons")) == 96
    assert str(Mediator(site="L0.z", dims=(1, 2))) == "L0.z[1,2]"


@pytest.mark.parametrize("name", ["t5"])
def test_cross_attention_has_a_place(name):
    model = tiny(name)
    for stack, cross in attentions(name):
        assert place(model, f"{stack}.L0.{'cross.' if cross else ''}H1").columns.tolist() == list(range(5, 10))


def test_what_is_not_there_is_refused():
    model = tiny("gpt2")
    with pytest.raises(ConfigError, match=r"L0\.mlp has dimensions 0 to 23, but 24 was asked"):
        place(model, "L0.mlp", 24)
    with pytest.raises(ComponentNotFound, match="layers 0 to 1"):
        place(model, "L7.mlp")
    with pytest.raises(ComponentNotFound, match="read but not edited"):
        place(model, "L0.pattern")
