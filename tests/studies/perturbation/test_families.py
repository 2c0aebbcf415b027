"""Perturbations made from a space, and their controls."""

import numpy as np
import pytest
import torch
from made_space import PLANTED, WIDTH, recorded, space_of

from imprint.interventions.activations import Affine, Mean, Noise, Shift, Sign, change_rms
from imprint.studies.perturbation.families import TokenTable, perturbation, with_control


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
    pair = with_control(target, space, seed=1)
    states = space.reference.astype(np.float32)
    assert change(pair.control, states) == pytest.approx(change(pair.target, states), rel=0.25)
    assert "random directions" in pair.matched or "other dimensions" in pair.matched


def test_doses_keep_the_controls_ratio(space):
    pair = with_control(perturbation(space, "prose", "shift", seed=0), space, seed=1)
    twice = pair.at(2.0)
    assert twice.target.dose == 2.0
    assert twice.control.dose == pytest.approx(2 * pair.control.dose)


def test_signs_get_as_many_other_tokens(space):
    table = torch.ones(6, 5, WIDTH, dtype=torch.int8)
    members = torch.zeros(6, 5, dtype=torch.bool)
    members[:2] = True
    tokens = TokenTable(signs=table, members=members, candidates=torch.ones(6, 5, dtype=torch.bool))
    pair = with_control(perturbation(space, "code", "sign", seed=0, tokens=tokens), space, seed=1, tokens=tokens)
    assert isinstance(pair.target.edit, Sign)
    assert int(pair.control.tokens.sum()) == int(members.sum())
    assert not bool((pair.control.tokens & members).any())
