import copy

import numpy as np
import pytest
import torch
from mediation_items import random_pairs
from tiny_families import tiny
from two_devices import on_both, same

from imprint.capabilities import random_period_probes, repeat_probe
from imprint.mechanisms import (
    MECHANISMS,
    attribution_patching,
    circuit_paths,
    copy_pairs,
    copy_positions,
    copying_weights,
    denoising,
    fresh_models,
    head_activations,
    head_mediators,
    locate,
    mediate,
    prefix_maximum,
    score_heads,
    specialisation,
    standard_mechanism,
)
from imprint.models import Component, induction_transformer

CONTEXT = 64


@pytest.fixture(scope="module")
def planted():
    """The handmade induction circuit on both devices."""
    return on_both(induction_transformer(50, CONTEXT).double())


def test_location_is_that_of_the_cpu(planted):
    probes = random_period_probes(range(1, 50), rows=8, seed=0, bos=0, context=CONTEXT)
    found = [locate(model, probes, ablate=3) for model in planted]
    same(found[0].as_dict(), found[1].as_dict(), 1e-6)
    assert found[1].best("induction") is not None
    same(*(prefix_maximum(model, probes[0]) for model in planted))


def test_location_in_half_precision_finds_the_same_head(planted):
    probes = random_period_probes(range(1, 50), rows=8, seed=0, bos=0, context=CONTEXT)
    best = locate(copy.deepcopy(planted[1]).bfloat16(), probes, ablate=3).best("induction")
    assert best is not None
    assert best.head == locate(planted[0], probes, ablate=3).best("induction").head


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_standard_mechanisms_score_as_on_the_cpu(name):
    models = on_both(tiny("gpt2"))
    mechanism = standard_mechanism(
        name, range(1, 31), context=16, rows=5, bos=0, successors=[(2, 3), (3, 4), (4, 5), (7, 8)]
    )
    same(*(score_heads(model, mechanism, draws=9).as_dict() for model in models), 1e-6)


def test_patching_is_that_of_the_cpu(planted):
    probe = repeat_probe(range(1, 50), period=12, rows=6, seed=0, bos=0)
    heads = [Component.parse("L1.H0")]
    same(*(denoising(model, probe, heads) for model in planted), 1e-6)
    same(*(circuit_paths(model, probe, ["L0.H0", "L0.mlp"], "L1.H0") for model in planted), 1e-6)
    pairs = copy_pairs(probe)
    same(*(mediate(model, pairs, head_mediators(model)) for model in planted), 1e-6)
    same(*(specialisation(model, copy_positions(probe)) for model in planted), 1e-6)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_mediation_and_attribution_patching_are_those_of_the_cpu(name):
    models, pairs = on_both(tiny(name)), random_pairs(name)
    stack = "decoder." if name == "t5" else ""
    sites = [f"{stack}L0.z", f"{stack}L1.mlp", f"{stack}L1.resid_pre"]
    same(*(attribution_patching(model, pairs, sites, steps=3) for model in models), 2e-5)
    same(*(mediate(model, pairs, sites) for model in models), 2e-5)


def test_weights_written_sizes_and_fresh_models():
    models = on_both(tiny("llama-mha"))
    same(*(copying_weights(model, draws=3) for model in models), 1e-6)
    tokens, lengths = np.random.default_rng(0).integers(1, 31, (5, 9)), np.array([9, 3, 5, 9, 7])
    same(*(head_activations(model, tokens, lengths, ["L0.H1", "L1.H2"]) for model in models), 1e-6)
    here, there = (list(fresh_models(model, 2)) for model in models)
    for one, other in zip(here, there, strict=True):
        assert other.device.type == models[1].device.type
        assert all(torch.equal(a, b.cpu()) for a, b in zip(one.parameters(), other.parameters(), strict=True))
