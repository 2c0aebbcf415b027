import pytest
import torch
from tiny_families import inputs, logits, tiny

from imprint.errors import ConfigError
from imprint.interventions.activations import Intervention, Patch, intervene, procrustes, reference_states, site_rms
from imprint.models import record


def states(n=200, width=6, seed=0):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_rotation_is_found_exactly():
    source = states()
    turn = torch.linalg.qr(states(6, 6, 1))[0]
    target = (source - 1) @ turn + 3
    alignment = procrustes(source, target)
    torch.testing.assert_close(alignment.rotation, turn, rtol=0, atol=1e-10)
    torch.testing.assert_close(alignment.map(source), target, rtol=0, atol=1e-10)
    assert alignment.explained == pytest.approx(1.0)


def test_other_widths_get_an_isometry_and_unrelated_states_are_said_to_be_so():
    wide = torch.linalg.qr(states(9, 6, 1))[0].T
    alignment = procrustes(states(), states() @ wide)
    torch.testing.assert_close(
        alignment.rotation @ alignment.rotation.T, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-10
    )
    assert alignment.explained == pytest.approx(1.0)
    assert procrustes(states(2000), states(2000, 6, 5)).explained < 0.1
    with pytest.raises(ConfigError, match="199 target"):
        procrustes(states(), states(199))


def test_states_of_another_model_take_the_place_of_its_own():
    """A model whose residual stream is rotated gives, mapped back, exactly the states it replaces."""
    model, kwargs = tiny("gpt2"), inputs("gpt2")
    with record(model, ["L0.resid_post"]) as own:
        plain = logits(model, kwargs)
    turn = torch.linalg.qr(states(24, 24, 1))[0]
    theirs = own["L0.resid_post"] @ turn
    alignment = procrustes(theirs.flatten(0, 1), own["L0.resid_post"].flatten(0, 1))
    patch = Intervention(site="L0.resid_post", edit=Patch(states=alignment.map(theirs)))
    with intervene(model, [patch]):
        torch.testing.assert_close(logits(model, kwargs), plain, rtol=0, atol=1e-6)
    with intervene(model, [Intervention(site="L0.resid_post", edit=Patch(states=theirs))]):
        assert (logits(model, kwargs) - plain).abs().max() > 0.1


def test_reference_states_are_those_of_real_tokens():
    model, kwargs = tiny("llama"), inputs("llama")
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[0, :4] = 0
    with record(model, ["L0.mlp"]) as seen:
        logits(model, kwargs | {"attention_mask": mask})
    found = reference_states(model, ["L0.mlp", "L1.H0"], [kwargs | {"attention_mask": mask}])
    torch.testing.assert_close(found["L0.mlp"], seen["L0.mlp"][mask.bool()].float())
    assert found["L1.H0"].shape == (17, 6)
    with pytest.raises(ConfigError, match="empty"):
        reference_states(model, ["L0.mlp"], [])


def test_a_few_huge_tokens_do_not_set_the_unit():
    normal = torch.randn(101, 64, generator=torch.Generator().manual_seed(0))
    huge = torch.cat([normal, 1000 * torch.ones(5, 64)])
    assert site_rms(normal) == pytest.approx(1.0, abs=0.05)
    assert site_rms(huge) == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ConfigError, match="doses would mean nothing"):
        site_rms(torch.zeros(5, 4))
