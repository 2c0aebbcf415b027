import numpy as np
import pytest
from linear_net import LinearNet, arms
from mediation_items import random_pairs
from tiny_families import EVERY, tiny

from imprint.capabilities import repeat_probe
from imprint.errors import ConfigError, InterventionNeverFired
from imprint.mechanisms import (
    Mediator,
    Outcomes,
    Place,
    copy_pairs,
    head_mediators,
    mediate,
    mediation,
    neuron_mediators,
    outcome,
    place_of,
    potential_outcomes,
    vig_ratios,
)
from imprint.models import Anatomy, induction_transformer


def linear_outcomes(net):
    values = arms()
    places = {"M": Place(module=net.mediator, edge="post")}
    return potential_outcomes(net, places, lambda arm: net(values[arm]))["M"]


def test_at_rp_5_the_linear_model():
    """a = 2, b = .5, c = 1: TE = c + a b = 2, NDE = c = 1, NIE = a b = 1, exactly."""
    found = mediation("M", linear_outcomes(LinearNet()))
    effects = [found.total, found.direct, found.indirect, found.interaction, found.necessity]
    assert [effect.estimate for effect in effects] == [2.0, 1.0, 1.0, 0.0, 1.0]
    assert (found.share_restored, found.share_lost) == (0.5, 0.5)
    assert (found.total.n, found.total.unit) == (6, "item")


def test_a_product_is_interaction_and_makes_noising_differ_from_denoising():
    """Y = .5 M + X + 3 X M with M = 2 X: TE 8, NDE 1, NIE 1, interaction 6, necessity 7."""
    found = mediation("M", linear_outcomes(LinearNet(product=3.0)))
    assert found.total.estimate == 8.0
    assert found.direct.estimate == 1.0
    assert found.indirect.estimate == 1.0
    assert found.interaction.estimate == 6.0
    assert found.necessity.estimate == found.indirect.estimate + found.interaction.estimate == 7.0


def test_the_ratio_form_of_vig():
    outcomes = linear_outcomes(LinearNet())
    ratios = vig_ratios(outcomes)
    assert ratios["total"].estimate == pytest.approx(np.e**2 - 1)
    assert ratios["direct"].estimate == ratios["indirect"].estimate == pytest.approx(np.e - 1)


def test_items_of_one_sequence_are_averaged_first():
    values = np.arange(6.0)
    outcomes = Outcomes(clean=values, corrupted=-values, noised=values / 2, denoised=values**2)
    found = outcomes.averaged(np.array([7, 3, 7, 3, 7, 3]))
    assert found.clean.tolist() == [3.0, 2.0]
    assert found.denoised.tolist() == [35 / 3, 20 / 3]
    assert mediation("M", found).total.n == 2
    assert mediation("M", found).total.estimate == mediation("M", outcomes).total.estimate


# In transformers


@pytest.mark.parametrize("name", EVERY)
def test_whole_streams_mediate_everything_in_every_family(name):
    """The last residual stream carries the whole effect; the embeddings of the tokens that differ do, too."""
    model, pairs = tiny(name), random_pairs(name)
    last = "decoder.L2.resid_post" if name == "t5" else "L1.resid_post"
    first = "encoder.embed" if name == "t5" else "embed"
    found = mediate(model, pairs, [last, first])
    for outcomes in found.values():
        np.testing.assert_allclose(outcomes.denoised, outcomes.clean, atol=1e-9)
        np.testing.assert_allclose(outcomes.noised, outcomes.corrupted, atol=1e-9)
    assert np.abs(outcomes.clean - outcomes.corrupted).max() > 1e-3


@pytest.mark.parametrize("name", EVERY)
def test_starting_at_the_mediators_layer_changes_no_outcome(name):
    model, pairs = tiny(name), random_pairs(name)
    stack = "decoder." if name == "t5" else ""
    sites = [stack + site for site in ("L0.H1", "L0.resid_post", "L1.resid_pre", "L1.neurons", "embed")]
    places = {site: place_of(Anatomy(model), Mediator(site=site)) for site in sites}
    whole = potential_outcomes(model, places, lambda arm: outcome(model, pairs, arm))
    for site, skipped in mediate(model, pairs, sites).items():
        np.testing.assert_allclose(skipped.noised, whole[site].noised, atol=1e-6)
        np.testing.assert_allclose(skipped.denoised, whole[site].denoised, atol=1e-6)


def test_blocks_below_the_mediator_run_once():
    model, pairs, passes = tiny("gpt2"), random_pairs("gpt2"), []
    handle = model.transformer.h[0].mlp.register_forward_hook(lambda *_: passes.append(1))
    mediate(model, pairs, [f"L1.H{head}" for head in range(4)])
    handle.remove()
    assert len(passes) == 4  # two arms read, two arms kept; none of the eight patched runs


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_all_dims_of_z_are_the_layer_and_heads_differ(name):
    model, pairs = tiny(name), random_pairs(name)
    every = Mediator(site="L1.z", dims=tuple(range(24)))
    found = mediate(model, pairs, ["L1.z", every, *head_mediators(model)])
    np.testing.assert_allclose(found["L1.z"].denoised, found[str(every)].denoised, atol=1e-12)
    assert len(found) == 10
    heads = [found[f"L1.H{head}"] for head in range(4)]
    assert len({round(float(one.denoised.sum()), 9) for one in heads}) == 4


def test_items_and_batches_do_not_mix():
    model, pairs = tiny("llama"), random_pairs("llama", items=6)
    whole, parts = (mediate(model, pairs, ["L0.H1", "L0.mlp"], batch=size) for size in (6, 2))
    for name in whole:
        np.testing.assert_allclose(whole[name].noised, parts[name].noised, atol=1e-10)
    shuffled = next(pairs.batches(1))
    np.testing.assert_allclose(
        mediate(model, shuffled, ["L0.H1"])["L0.H1"].noised, whole["L0.H1"].noised[:1], atol=1e-10
    )


def test_neurons_of_the_mlp():
    model, pairs = tiny("gpt2"), random_pairs("gpt2")
    counted = []
    found = mediate(model, pairs, neuron_mediators(model, "L1.mlp", range(3)), advance=counted.append)
    assert list(found) == ["L1.mlp[0]", "L1.mlp[1]", "L1.mlp[2]"]
    assert sum(counted) == 3 * 4


def test_copying_passes_through_the_induction_head():
    model = induction_transformer()
    pairs = copy_pairs(repeat_probe(range(1, 50), period=8, rows=4, seed=0, bos=0))
    measured = mediate(model, pairs, head_mediators(model))
    found = {name: mediation(name, each.averaged(pairs.group.numpy())) for name, each in measured.items()}
    assert found["L1.H0"].total.n == 4
    assert found["L1.H0"].share_restored == pytest.approx(1.0)
    assert found["L1.H0"].share_lost == pytest.approx(1.0)
    for silent in ("L0.H1", "L1.H1"):
        assert found[silent].indirect.estimate == found[silent].necessity.estimate == 0.0
    # The previous-token head is necessary (noising), and its clean keys alone do not suffice (denoising).
    assert found["L0.H0"].share_lost > 0.8
    assert found["L0.H0"].share_restored < 0.1


def test_the_model_is_left_as_it_was():
    model, pairs = tiny("gpt2").train(), random_pairs("gpt2")
    grads = [parameter.requires_grad for parameter in model.parameters()]
    mediate(model, pairs, ["L0.H0"])
    assert model.training
    assert grads == [parameter.requires_grad for parameter in model.parameters()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_mediators_that_are_not_reached_are_refused():
    net, values = LinearNet(), arms()
    with pytest.raises(InterventionNeverFired, match="went through M"):
        potential_outcomes(net, {"M": Place(module=net.mediator, edge="post")}, lambda arm: values[arm])
    with pytest.raises(ConfigError, match="No mediators"):
        mediate(tiny("gpt2"), random_pairs("gpt2"), [])


def test_items_vary_and_the_interval_says_so():
    model, pairs = tiny("gpt2"), random_pairs("gpt2", items=8)
    found = mediation("L0.H0", mediate(model, pairs, ["L0.H0"])["L0.H0"])
    assert found.total.low < found.total.estimate < found.total.high
    assert found.interaction.estimate == pytest.approx(
        found.total.estimate - found.direct.estimate - found.indirect.estimate
    )
