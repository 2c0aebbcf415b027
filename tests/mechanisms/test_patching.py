from dataclasses import replace

import pytest
import torch
from handmade_heads import two_back_transformer

from imprint.capabilities import copy_log_probs, repeat_probe
from imprint.errors import ComponentNotFound
from imprint.mechanisms import denoising
from imprint.mechanisms.patching import NOTHING_TO_RESTORE
from imprint.models import Anatomy, Architecture, Component, hooked, induction_transformer, record


def heads(*names):
    return [Component.parse(name) for name in names]


def probe_of(alphabet=range(1, 50), period=20, rows=16):
    return repeat_probe(alphabet, period=period, rows=rows, seed=0, bos=0)


@pytest.fixture(scope="module")
def model():
    return induction_transformer()


def test_the_induction_heads_clean_output_restores_all_copying(model):
    effect = denoising(model, probe_of(), heads("L1.H0"))
    assert effect.estimate == pytest.approx(1.0)
    assert (effect.n, effect.unit, effect.control) == (16, "item", "unrelated first half")
    assert effect.metric == "denoising L1.H0"


def test_silent_heads_restore_nothing(model):
    for name in ("L0.H1", "L1.H1"):
        assert denoising(model, probe_of(), heads(name)).estimate == 0.0


def test_the_previous_token_head_alone_makes_it_copy_the_wrong_first_half(model):
    """With clean keys over unrelated tokens the induction head finds the right place and reads the wrong token there."""
    assert denoising(model, probe_of(), heads("L0.H0")).high < -0.1


def test_what_layer_0_stored_is_enough_for_a_head_that_reads_it_there():
    """In the variant of METHODS P10 both key and value pass through layer 0, each through a head of its own."""
    model, probe = two_back_transformer(), probe_of(range(1, 25), period=10)
    assert denoising(model, probe, heads("L0.H0", "L0.H1")).estimate == pytest.approx(1.0, abs=0.05)
    assert denoising(model, probe, heads("L0.H0")).estimate < 0.5
    assert denoising(model, probe, heads("L1.H0")).estimate == pytest.approx(1.0)


def test_the_share_is_the_gain_over_the_mean_gap():
    """In a softer model sequences differ, and a head restores only a part."""
    model, probe = two_back_transformer(sharpness=4.0), probe_of(range(1, 25), period=10)
    other = replace(probe, tokens=probe.unrelated, unrelated=probe.tokens)
    with record(model, ["L0.H0"]) as clean:
        model(probe.tokens)
    width = Anatomy(model).d_head

    def put(z):
        return torch.cat([clean["L0.H0"], z[..., width:]], dim=-1)

    with hooked(model, [(Anatomy(model).out_projection(0), "pre", put)]):
        patched = copy_log_probs(model, other).sum(1)
    intact, corrupted = copy_log_probs(model, probe).sum(1), copy_log_probs(model, other).sum(1)
    effect = denoising(model, probe, heads("L0.H0"))
    assert effect.estimate == pytest.approx(((patched - corrupted).mean() / (intact - corrupted).mean()).item())
    assert 0.05 < abs(effect.estimate) < 0.95
    assert effect.low < effect.estimate < effect.high


def test_several_heads_of_one_layer_are_patched_together():
    model = induction_transformer()
    anatomy = Anatomy(model)
    one, other = anatomy.head_slices("L1.H0"), anatomy.head_slices("L1.H1")
    for role in ("q", "k", "v", "o"):
        other[role].assign(model, one[role].view(model))
    probe = probe_of()
    both = denoising(model, probe, heads("L1.H0", "L1.H1")).estimate
    assert both == pytest.approx(1.0)
    assert denoising(model, probe, heads("L1.H1")).estimate == pytest.approx(
        denoising(model, probe, heads("L1.H0")).estimate
    )


def test_a_model_without_copying_has_nothing_to_restore():
    mute = induction_transformer()
    with torch.no_grad():
        mute.transformer.h[1].attn.c_proj.weight.zero_()
    effect = denoising(mute, probe_of(), heads("L1.H0"))
    assert (effect.estimate, effect.low, effect.high) == (0.0, 0.0, 0.0)
    assert effect.note == NOTHING_TO_RESTORE


def test_a_random_model_gives_finite_numbers_and_dropout_has_no_say():
    sizes = {"vocab_size": 50, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    model = Architecture(config={**sizes, "bos_token_id": 0, "eos_token_id": 0}).initialise(0).train()
    effect = denoising(model, probe_of(), heads("L1.H0"))
    assert effect == denoising(model, probe_of(), heads("L1.H0"))
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_head_that_does_not_exist_is_refused(model):
    with pytest.raises(ComponentNotFound, match="layers 0 to 1"):
        denoising(model, probe_of(), heads("L2.H0"))
