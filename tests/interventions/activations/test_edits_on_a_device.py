from typing import ClassVar

import pytest
import torch

from imprint.interventions.activations import Affine, Combined, Mean, Resample, Shift, Subspace, Swap, Zero
from imprint.interventions.activations import edit as edits
from imprint.interventions.activations.edit import on_device
from imprint.interventions.activations.tokens import NOBODYS

WIDTH = 6
WITHIN = Subspace.of_dims(torch.tensor([1, 4]), WIDTH)
PARTS = (Mean(value=torch.arange(6.0)), Shift.along(torch.ones(WIDTH), rms=2.0))
EDITS = [
    Zero(within=WITHIN),
    *PARTS,
    Affine(matrix=torch.ones(WIDTH, WIDTH), mean=torch.ones(WIDTH)),
    Swap(source=torch.ones(WIDTH), target=torch.zeros(WIDTH), within=Subspace.spanned_by(torch.ones(WIDTH, 1))),
    Combined(parts=PARTS, weights=(0.5, 2.0)),
]


class Elsewhere(torch.Tensor):
    """A tensor that says where it was moved to, since a CPU has no second device."""

    moves: ClassVar[list[torch.device]] = []

    def to(self, *places, **how):
        if isinstance(places[0], torch.device):
            Elsewhere.moves.append(places[0])
        return super().to(*places, **how)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: type(edit).__name__)
def test_an_edit_on_a_device_does_what_it_did(edit):
    states, dose = torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(0)), torch.full((2, 1, 1), 0.7)
    moved = on_device(edit, torch.device("cpu"))
    assert type(moved) is type(edit)
    assert torch.equal(moved.apply(states, dose, NOBODYS), edit.apply(states, dose, NOBODYS))


def test_every_small_tensor_is_moved_and_large_tables_stay(monkeypatch):
    monkeypatch.setattr(edits, "_SMALL", 20)
    Elsewhere.moves.clear()
    within = Subspace.of_dims(torch.tensor([1, 4]).as_subclass(Elsewhere), WIDTH)
    table = Resample(states=torch.ones(9, WIDTH).as_subclass(Elsewhere), seed=0)
    mean = Mean(value=torch.ones(WIDTH).as_subclass(Elsewhere), within=within)
    moved = on_device(Combined(parts=(mean, table), weights=(1.0, 1.0)), torch.device("cpu"))
    assert len(Elsewhere.moves) == 2  # the mean and its dimensions, not the table
    assert moved.parts[1].states is table.states
