import numpy as np
import pytest
import torch
from mediation_items import random_pairs
from tiny_families import EVERY, tiny

from imprint.capabilities import repeat_probe
from imprint.errors import ComponentNotFound, ConfigError
from imprint.mechanisms import (
    Mediator,
    attribution_patching,
    copy_pairs,
    head_attributions,
    head_mediators,
    mediate,
    outcome,
    patching_agreement,
    place_of,
)
from imprint.mechanisms.places import reading
from imprint.models import Anatomy, hooked, induction_transformer

SITES = ("L0.z", "L1.attn", "L0.mlp", "L1.neurons", "L1.resid_pre", "embed")


def linear_after_attention(seed=0):
    """GPT-2 without final norm and second MLP: the outcome is linear in everything the last attention writes."""
    model = tiny("gpt2", seed)
    model.transformer.ln_f = torch.nn.Identity()
    with torch.no_grad():
        model.transformer.h[1].mlp.c_proj.weight.zero_()
    return model


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_exact_where_the_outcome_is_linear(direction):
    model, pairs = linear_after_attention(), random_pairs("gpt2", items=6)
    estimated = head_attributions(model, attribution_patching(model, pairs, ["L1.z"], direction=direction, batch=4))
    measured = mediate(model, pairs, [f"L1.H{head}" for head in range(4)])
    assert list(estimated) == list(measured)
    for name, scores in estimated.items():
        truth = measured[name]
        wanted = truth.denoised - truth.corrupted if direction == "denoising" else truth.clean - truth.noised
        np.testing.assert_allclose(scores, wanted, atol=1e-12)
    agreement = patching_agreement(estimated, measured, direction=direction)
    assert agreement.spearman == 1.0
    assert agreement.largest_miss < 1e-12


def nudged(model, pairs, site, share):
    """The outcome of the corrupted run with the site moved `share` of the way to its clean value."""
    spot, values = place_of(Anatomy(model), Mediator(site=site)), {}
    for arm in ("clean", "corrupted"):
        seen = {}
        with torch.no_grad(), hooked(model, reading({site: spot}, seen)):
            outcome(model, pairs, arm)
        values[arm] = seen[site]
    moved = torch.lerp(values["corrupted"], values["clean"], share)
    with torch.no_grad(), hooked(model, [(spot.module, spot.edge, lambda tensor: spot.put(tensor, moved))]):
        return outcome(model, pairs, "corrupted").numpy()


@pytest.mark.parametrize("name", EVERY)
def test_the_derivative_is_right_in_every_family(name):
    """Finite differences of a partial patch, also where a family adds in place or shares keys between heads."""
    model, pairs = tiny(name), random_pairs(name)
    sites = [("encoder." if name == "t5" else "") + site for site in SITES]
    found = attribution_patching(model, pairs, sites)
    step = 2e-3  # not smaller: RMS norms and GPT-J's attention compute in single precision whatever the model
    for site in sites:
        slope = (nudged(model, pairs, site, step) - nudged(model, pairs, site, -step)) / (2 * step)
        np.testing.assert_allclose(found[site].sum(1), slope, rtol=2e-3, atol=3e-3)
    assert max(np.abs(scores).max() for scores in found.values()) > 1e-3


def test_frozen_parameters_make_no_difference():
    model, pairs = tiny("llama"), random_pairs("llama")
    free = attribution_patching(model, pairs, ["L0.z", "L1.mlp"])
    frozen_model = tiny("llama").requires_grad_(False)
    frozen = attribution_patching(frozen_model, pairs, ["L0.z", "L1.mlp"])
    for site, scores in free.items():
        np.testing.assert_array_equal(scores, frozen[site])
    assert not any(parameter.requires_grad for parameter in frozen_model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_integrated_gradients_along_the_site_are_complete(direction):
    """Their sum converges to the true patch, which one gradient misses by far."""
    model, pairs = tiny("gpt2"), random_pairs("gpt2")
    truth = mediate(model, pairs, ["L0.z"])["L0.z"]
    wanted = truth.denoised - truth.corrupted if direction == "denoising" else truth.clean - truth.noised
    plain = attribution_patching(model, pairs, ["L0.z"], direction=direction)["L0.z"].sum(1)
    missed = np.abs(plain - wanted).max()
    assert missed > 0.05
    for steps, share in ((8, 0.3), (64, 0.01)):
        found = attribution_patching(model, pairs, ["L0.z"], direction=direction, steps=steps, path="site")
        assert np.abs(found["L0.z"].sum(1) - wanted).max() < share * missed


def test_integrated_gradients_along_the_input_are_complete_for_the_embeddings():
    model, pairs = tiny("gpt2"), random_pairs("gpt2")
    truth = mediate(model, pairs, ["embed"])["embed"]
    found = attribution_patching(model, pairs, ["embed", "L1.z"], steps=48)
    np.testing.assert_allclose(found["embed"].sum(1), truth.clean - truth.corrupted, atol=5e-3)


def soft_induction(sharpness=4.0):
    """Attention that is not saturated has gradients."""
    return induction_transformer(sharpness=sharpness)


def test_ranks_agree_with_true_patches_and_a_saturated_head_fools_the_gradient():
    pairs = copy_pairs(repeat_probe(range(1, 50), period=8, rows=3, seed=0, bos=0))
    soft = soft_induction()
    measured = mediate(soft, pairs, head_mediators(soft))
    estimated = head_attributions(soft, attribution_patching(soft, pairs, ["L0.z", "L1.z"]))
    assert patching_agreement(estimated, measured).spearman > 0.7
    assert estimated["L1.H0"].mean() == pytest.approx((measured["L1.H0"].denoised - measured["L1.H0"].corrupted).mean())
    sharp = induction_transformer()
    noised = mediate(sharp, pairs, ["L0.H0"])["L0.H0"]
    blind = head_attributions(sharp, attribution_patching(sharp, pairs, ["L0.z"], direction="noising"))
    assert (noised.clean - noised.noised).mean() > 20
    assert abs(blind["L0.H0"].mean()) < 1  # the Trust line, shown: softmax is flat there


def test_random_models_rank_well():
    ranks = []
    for seed in range(3):
        model, pairs = tiny("llama", seed), random_pairs("llama", items=6, seed=seed)
        estimated = head_attributions(model, attribution_patching(model, pairs, ["L0.z", "L1.z"]))
        ranks.append(patching_agreement(estimated, mediate(model, pairs, head_mediators(model))).spearman)
    assert np.mean(ranks) > 0.5


def test_without_a_difference_there_is_no_effect():
    model, pairs = tiny("gpt2"), random_pairs("gpt2")
    same = type(pairs)(
        clean=pairs.clean, corrupted=pairs.clean, answer=pairs.answer, foil=pairs.foil, position=pairs.position
    )
    assert np.abs(attribution_patching(model, same, ["L0.z"])["L0.z"]).max() == 0


def test_what_cannot_be_attributed_is_refused():
    model, pairs = tiny("gpt2"), random_pairs("gpt2")
    with pytest.raises(ConfigError, match="No sites"):
        attribution_patching(model, pairs, [])
    with pytest.raises(ComponentNotFound, match="pattern"):
        attribution_patching(model, pairs, ["L0.pattern"])
    with pytest.raises(ConfigError, match="Only 0 mediators"):
        patching_agreement({}, {})
