"""Perturbations made from a space, and their controls."""

import numpy as np
import pytest
import torch
from made_space import PLANTED, WIDTH, recorded, space_of

from imprint.interventions.activations import Affine, Mean, Noise, Shift, Sign, change_rms
from imprint.studies.perturbation.families import TokenTable, matched_control, perturbation


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


def test_signs_get_as_many_other_tokens(space):
    table = torch.ones(6, 5, WIDTH, dtype=torch.int8)
    members = torch.zeros(6, 5, dtype=torch.bool)
    members[:2] = True
    tokens = TokenTable(signs=table, members=members, candidates=torch.ones(6, 5, dtype=torch.bool))
    target = perturbation(space, "code", "sign", seed=0, tokens=tokens)
    drawn = matched_control(target, space, seed=1, tokens=tokens).intervention
    assert isinstance(target.edit, Sign)
    assert int(drawn.tokens.sum()) == int(members.sum())
    assert not bool((drawn.tokens & members).any())
