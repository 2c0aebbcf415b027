"""Perturbations made from a space, and their controls."""

import numpy as np
import pytest
import torch
from made_space import PLANTED, WIDTH, recorded, space_of

from imprint.interventions.activations import Affine, Mean, Noise, Shift, change_rms
from imprint.interventions.activations.tokens import Tokens
from imprint.studies.perturbation.families import matched_control, perturbation, tokens_of_the_same_rows


@pytest.fixture
def space(tmp_path):
    return space_of(recorded(), tmp_path, dims=((PLANTED, 2), ()))


def change(intervention, states):
    """What an intervention does to states, by the room's own arithmetic."""
    return change_rms(intervention, torch.from_numpy(states).float())


@pytest.mark.parametrize(
    ("family", "kind"), [("ablation", Mean), ("noise", Noise), ("shift", Shift), ("erasure", Affine)]
)
def test_each_family_is_its_edit_at_the_site(space, family, kind):
    made = perturbation(space, "prose", family, seed=0)
    assert made is not None
    assert isinstance(made.edit, kind)
    assert made.site == space.site


def test_only_the_clusters_dimensions_are_touched(space):
    made = perturbation(space, "prose", "ablation", seed=0)
    assert made.edit.within.dims.tolist() == sorted([PLANTED, 2])
    np.testing.assert_allclose(made.edit.value.numpy(), space.mean, rtol=1e-5)


def test_nothing_to_ablate_is_said(space):
    assert perturbation(space, "code", "ablation", seed=0) is None
    assert perturbation(space, "code", "noise", seed=0) is None
    assert perturbation(space, "code", "shift", seed=0) is not None


@pytest.mark.parametrize("family", ["ablation", "noise", "shift", "erasure"])
def test_controls_change_as_much_elsewhere(space, family):
    target = perturbation(space, "prose", family, seed=0)
    drawn = matched_control(target, space, seed=1)
    states = space.reference.astype(np.float32)
    control = drawn.intervention.at(drawn.ratio)
    assert change(control, states) == pytest.approx(change(target, states), rel=0.25)
    assert "random directions" in drawn.words or "other dimensions" in drawn.words


def test_draws_of_a_control_differ(space):
    target = perturbation(space, "prose", "shift", seed=0)
    first, second = (matched_control(target, space, seed=seed).intervention.edit.direction for seed in (1, 2))
    assert abs(float(first @ second)) < 0.99


def test_draws_are_not_largely_the_target(space):
    target = perturbation(space, "prose", "shift", seed=0)
    for seed in range(5):
        drawn = matched_control(target, space, seed=seed).intervention.edit.direction
        assert abs(float(drawn @ target.edit.direction)) < 0.95


def test_signs_get_as_many_other_tokens_of_the_same_rows():
    members = torch.zeros(6, 5, dtype=torch.bool)
    members[:2, 1:3] = True
    candidates = torch.ones(6, 5, dtype=torch.bool)
    candidates[:, 0] = False
    chosen = tokens_of_the_same_rows(members, candidates, seed=0)
    assert chosen.sum(1).tolist() == members.sum(1).tolist()
    assert not bool((chosen & members).any())
    assert not bool(chosen[:, 0].any())
    crowded = torch.ones(1, 5, dtype=torch.bool)
    assert int(tokens_of_the_same_rows(crowded, crowded, seed=0).sum()) == 0


def test_options_of_one_question_share_their_noise(space):
    made = perturbation(space, "prose", "noise", seed=0, row_ids=torch.tensor([7, 7, 8]))
    at = Tokens(rows=torch.arange(3), positions=torch.arange(4).expand(3, 4), real=torch.ones(3, 4, dtype=torch.bool))
    noise = made.edit.apply(torch.zeros(3, 4, WIDTH), torch.ones(3, 1, 1), at)
    torch.testing.assert_close(noise[0], noise[1])
    assert not torch.allclose(noise[0], noise[2])
