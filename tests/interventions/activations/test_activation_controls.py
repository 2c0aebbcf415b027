from dataclasses import replace

import pytest
import torch

from imprint.errors import ConfigError
from imprint.interventions.activations import (
    Affine,
    Combined,
    Intervention,
    Mean,
    Noise,
    Patch,
    RandomSign,
    Shift,
    Sign,
    Subspace,
    Swap,
    Zero,
    change_rms,
    explained_share,
    global_noise,
    random_dims,
    random_directions,
    random_tokens,
)

WIDTH = 16
GENERATOR = torch.Generator().manual_seed(0)
SCALES = torch.linspace(3, 0.2, WIDTH)
STATES = torch.randn(500, WIDTH, generator=GENERATOR) * SCALES + 1
TOP = Subspace.of_basis(torch.eye(WIDTH)[:, [0, 3]])
LOW = Subspace.of_basis(torch.eye(WIDTH)[:, [9, 13]])
DIRECTION = torch.eye(WIDTH)[1]
EDITS = {
    "zero": Zero(within=TOP),
    "zero of quiet directions": Zero(within=LOW),
    "mean": Mean(value=STATES.mean(0), within=TOP),
    "noise": Noise(seed=1, rms=1.0, within=TOP),
    "shift": Shift(direction=DIRECTION, rms=2.0),
    "swap": Swap(source=torch.zeros(WIDTH), target=3 * DIRECTION),
    "affine": Affine(matrix=torch.eye(WIDTH) - torch.outer(DIRECTION, DIRECTION), mean=STATES.mean(0)),
    "patch": Patch(states=STATES[:20].view(4, 5, WIDTH), within=TOP),
    "zero of dims": Zero(within=Subspace.of_dims(torch.tensor([0, 5, 9]), WIDTH)),
}


def at(edit, **more):
    return Intervention(site="L0.mlp", edit=edit, **more)


@pytest.mark.parametrize("name", EDITS)
def test_random_directions_match_rank_variance_and_norm(name):
    original = at(EDITS[name], dose=0.5)
    control = random_directions(original, STATES, seed=3)
    assert control.explained == pytest.approx(control.wanted, rel=0.01)
    assert control.norm_ratio == pytest.approx(1.0, rel=1e-3)
    assert change_rms(control.intervention, STATES) == pytest.approx(change_rms(original, STATES), rel=1e-3)
    assert control.overlap < 0.97
    again = random_directions(original, STATES, seed=3)
    assert again.overlap == control.overlap
    assert random_directions(original, STATES, seed=4).overlap != control.overlap


def test_an_unmatched_subspace_would_not_do():
    """The mutation: a uniformly random subspace holds far less variance than the original, the matched one as much."""
    uniform = Subspace.spanned_by(torch.randn(WIDTH, 2, generator=torch.Generator().manual_seed(1)))
    wanted = explained_share(STATES, TOP)
    assert explained_share(STATES, uniform) < 0.7 * wanted
    assert random_directions(at(EDITS["zero"]), STATES, seed=1).wanted == pytest.approx(wanted)
    assert explained_share(STATES, Subspace.full(WIDTH)) == pytest.approx(1.0)


def test_the_best_possible_subspace_has_only_itself():
    best = Subspace.of_basis(torch.linalg.eigh(torch.cov(STATES.T))[1][:, -2:])
    assert random_directions(at(Zero(within=best)), STATES, seed=1).overlap > 0.9


def test_random_dims_are_as_many_and_others():
    dims = torch.tensor([0, 5, 9])
    original = at(Mean(value=torch.ones(WIDTH), within=Subspace.of_dims(dims, WIDTH)))
    seen = [random_dims(original, seed=seed).intervention.edit.within.dims for seed in range(30)]
    assert all(len(found) == 3 and not set(found.tolist()) & set(dims.tolist()) for found in seen)
    assert len({tuple(found.tolist()) for found in seen}) > 20
    most = at(Zero(within=Subspace.of_dims(torch.arange(12), WIDTH)))
    assert random_dims(most, seed=0).overlap > 0.5
    with pytest.raises(ConfigError, match="use random_directions"):
        random_dims(at(Zero(within=TOP)), seed=0)


def test_a_gradient_step_gets_random_signs_of_equal_size():
    signs = torch.randn(4, 5, WIDTH, generator=GENERATOR).sign().to(torch.int8)
    original = at(Sign(signs=signs, rms=2.0), dose=0.3)
    control = random_directions(original, STATES, seed=1).intervention
    assert isinstance(control.edit, RandomSign)
    assert change_rms(control, STATES) == pytest.approx(0.6, rel=1e-5)


def test_combined_edits_get_the_control_of_each_part():
    signs = torch.ones(2, 2, WIDTH, dtype=torch.int8)
    parts = (Zero(within=TOP), Shift(direction=DIRECTION, rms=2.0), Sign(signs=signs, rms=0.1), EDITS["patch"])
    original = at(Combined(parts=parts, weights=(1.0, -0.5, 1.0, 0.1)), dose=0.7)
    control = random_directions(original, STATES, seed=1)
    assert control.norm_ratio == pytest.approx(1.0, rel=1e-3)
    assert [type(part) for part in control.intervention.edit.parts] == [Zero, Shift, RandomSign, Patch]


def test_random_tokens_are_as_many_and_others():
    tokens = torch.zeros(4, 10, dtype=torch.bool)
    tokens[0, :6] = True
    candidates = torch.ones(4, 10, dtype=torch.bool)
    candidates[3] = False
    control = random_tokens(at(Zero(), tokens=tokens), candidates, seed=1).intervention
    assert int(control.tokens.sum()) == 6
    assert not bool((control.tokens & (tokens | ~candidates)).any())
    with pytest.raises(ConfigError, match="only 4 candidates"):
        random_tokens(at(Zero(), tokens=tokens), _few(tokens), seed=1)
    with pytest.raises(ConfigError, match="edits every token"):
        random_tokens(at(Zero()), candidates, seed=1)
    with pytest.raises(ConfigError, match="boolean mask of shape"):
        random_tokens(at(Zero(), tokens=tokens), candidates[:2], seed=1)


def _few(tokens):
    few = torch.zeros_like(tokens)
    few[2, :4] = True
    return few


def test_global_noise_has_the_same_energy():
    tokens = torch.zeros(4, 10, dtype=torch.bool)
    tokens[0] = True
    original = at(EDITS["zero"], tokens=tokens)
    everywhere, spread = (
        global_noise(replace(original, tokens=None), STATES, seed=1),
        global_noise(original, STATES, seed=1),
    )
    size = change_rms(original, STATES)
    assert change_rms(everywhere.intervention, STATES) == pytest.approx(size, rel=0.03)
    assert change_rms(spread.intervention, STATES) == pytest.approx(size / 2, rel=0.03)
    assert spread.intervention.tokens is None


def test_edits_without_directions_are_named():
    for edit in (Zero(), Mean(value=torch.ones(WIDTH)), Noise(seed=1, rms=1.0)):
        with pytest.raises(ConfigError, match="of the whole state"):
            random_directions(at(edit), STATES, seed=1)
    with pytest.raises(ConfigError, match="No random subspace"):
        random_directions(at(EDITS["zero"]), STATES, seed=1, tolerance=-1.0)
