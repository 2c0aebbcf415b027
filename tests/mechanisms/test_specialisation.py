import numpy as np
import pytest
import torch

from imprint.capabilities import copy_accuracy, copy_hits, repeat_probe
from imprint.errors import ConfigError
from imprint.mechanisms import (
    Mediator,
    above_controls,
    control_heads,
    copy_pairs,
    copy_positions,
    head_mediators,
    indirect_effects,
    mediate,
    place_of,
    specialisation,
)
from imprint.mechanisms.places import reading, replacing
from imprint.mechanisms.specialisation import attention_entropy, causal_mass
from imprint.models import Anatomy, ablate_heads, attention_patterns, hooked, induction_transformer


@pytest.fixture(scope="module")
def model():
    return induction_transformer()


def probe_of(period=31, rows=8):
    return repeat_probe(range(1, 50), period=period, rows=rows, seed=0, bos=0)


# AT-RP-9


def test_at_rp_9_alpha_of_the_induction_head_is_one(model):
    found = specialisation(model, copy_positions(probe_of()))
    assert found["L1.H0"].alpha.estimate == pytest.approx(1.0, abs=1e-6)
    for other in ("L0.H0", "L0.H1", "L1.H1"):
        assert found[other].alpha.estimate < 0.05
        assert found[other].selective.estimate == pytest.approx(0.0, abs=1e-9)
    assert found["L1.H0"].selective.low > 0.9
    assert (found["L1.H0"].alpha.n, found["L1.H0"].alpha.unit) == (8, "item")


def test_at_rp_9_without_the_previous_token_head_copying_falls_to_chance_and_denoising_restores_it(model):
    probe = probe_of()
    assert copy_accuracy(model, [probe]).estimate > 0.99
    with ablate_heads(model, ["L0.H0"]):
        ablated = copy_accuracy(model, [probe])
        assert ablated.low <= 3 * probe.chance
        assert ablated.estimate < 0.1
    spot, seen = place_of(Anatomy(model), Mediator(site="L0.H0")), {}
    with torch.no_grad(), hooked(model, reading({"L0.H0": spot}, seen)):
        model(probe.tokens)
    with ablate_heads(model, ["L0.H0"]), hooked(model, [replacing(spot, seen["L0.H0"])]):
        assert copy_hits(model, probe).mean().item() > 0.99


# By attention


def test_uniform_heads_get_the_mass_of_chance(model):
    found = specialisation(model, copy_positions(probe_of(20)))
    wanted = np.mean([1 / (t + 1) for t in range(21, 40)])
    assert found["L1.H1"].alpha.estimate == pytest.approx(wanted)
    entropy = np.mean([np.log(t + 1) for t in range(21, 40)])
    assert found["L1.H1"].entropy == pytest.approx(entropy)
    assert found["L1.H0"].entropy == pytest.approx(0.0, abs=1e-6)


def test_several_causal_positions_add_up(model):
    probe = probe_of(10, rows=2)
    positions = copy_positions(probe)
    mask = positions.mask.clone()
    mask[..., 0] = True
    both = type(positions)(tokens=positions.tokens, control=positions.control, mask=mask, queries=positions.queries)
    patterns = attention_patterns(model, probe.tokens)
    first = patterns[..., positions.queries, 0].mean(-1)
    torch.testing.assert_close(causal_mass(patterns, both), causal_mass(patterns, positions) + first)


def test_entropy_of_half_and_half():
    patterns = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]).expand(1, 2, 1, 3, 3)
    assert attention_entropy(patterns, torch.tensor([0, 1])).item() == pytest.approx(np.log(2) / 2)


# By effect, and against other heads


def test_causal_tracing_finds_the_same_head(model):
    pairs = copy_pairs(probe_of(8, rows=4))
    effects = indirect_effects(mediate(model, pairs, head_mediators(model)))
    assert max(effects, key=lambda head: effects[head].mean()) == "L1.H0"
    found = specialisation(model, copy_positions(probe_of(8, rows=4)))
    entropies = {name: each.entropy for name, each in found.items()}
    controls = control_heads(entropies, "L1.H0", count=1)
    assert controls == ("L0.H0",)  # the other sharp head, not the uniform ones
    above = above_controls(effects, "L1.H0", controls)
    assert above.low > 5
    assert above.control == "entropy-matched heads: L0.H0"
    swapped = above_controls(effects, "L0.H0", ("L1.H0",))
    assert swapped.estimate == pytest.approx(-above.estimate)


def test_controls_are_the_nearest_or_random_and_never_the_head_itself():
    entropies = {f"L0.H{number}": float(number) for number in range(10)}
    assert set(control_heads(entropies, "L0.H5", count=2)) == {"L0.H4", "L0.H6"}
    assert "L0.H4" not in control_heads(entropies, "L0.H5", count=4, excluded=["L0.H4"])
    random = control_heads(entropies, "L0.H5", count=9, control="random", seed=1)
    assert len(set(random)) == 9
    assert "L0.H5" not in random
    with pytest.raises(ConfigError, match=r"10 control heads for L0\.H5 were asked but only 9"):
        control_heads(entropies, "L0.H5", count=10)
