from functools import partial

import numpy as np
import pytest
import torch
from tiny_runs import ARCHITECTURES, QUICK, packed_rows, stream_of
from tuning_runs import TARGETS, rows_of, supervised, tiny
from two_devices import DEVICE, on_both, same

from imprint.models import load_model, loss_gradients, train, training
from imprint.models.finetuning import (
    LoraRecipe,
    Preferred,
    SupervisedRecipe,
    finetune,
    loop,
    margins,
    with_adapters,
)
from imprint.models.finetuning.adapters import save_adapted

RECIPE = SupervisedRecipe(learning_rate=0.01, warmup_steps=3, weight_decay=0.1, clip_norm=0.5, batch=4, steps=6)
PLAIN, DROPOUT = "gpt2", "gpt2 with dropout and tied embeddings"


class Crash(Exception):
    pass


def crash_after(steps):
    done = []

    def advance(count):
        done.append(count)
        if sum(done) == steps:
            raise Crash

    return advance


def weights_of(folder, step=12):
    return dict(load_model(folder / f"step_{step:08d}").state_dict())


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama"])
def test_gradients_at_outputs_are_those_of_the_cpu(name):
    cpu, gpu = on_both(tiny(name))
    tokens, lengths, _ = rows_of()
    found = []
    for model in (cpu, gpu):
        modules = {key: module for key, module in model.named_modules() if key.endswith(("0.mlp", "1.mlp"))}
        draws = torch.rand(len(tokens), tokens.shape[1] - 1, generator=torch.Generator().manual_seed(0))
        for given in (None, draws):
            gradients, losses = loss_gradients(model, modules, tokens, lengths, draws=given)
            found.append((gradients.inputs, gradients.deltas, losses))
    same(found[:2], found[2:], 1e-6)


@pytest.mark.parametrize("name", [PLAIN, "gpt_neox", "llama"])
def test_a_short_run_ends_close_to_that_of_the_cpu(tmp_path, name):
    for device in ("cpu", DEVICE):
        model = ARCHITECTURES[name].initialise(0)
        train(model, packed_rows(), stream_of(), QUICK, tmp_path / device, seed=0, device=device)
        assert model.device.type == "cpu"
    cpu, gpu = (weights_of(tmp_path / device) for device in ("cpu", DEVICE))
    start = ARCHITECTURES[name].initialise(0).state_dict()
    for key, value in cpu.items():
        way = float((value - start[key].cpu()).norm())
        assert float((value - gpu[key]).norm()) <= 0.01 * way + 1e-6


@pytest.mark.parametrize("name", [PLAIN, DROPOUT])
def test_an_interrupted_run_goes_on_from_its_autosave(tmp_path, monkeypatch, name):
    monkeypatch.setattr(training, "AUTOSAVE_STEPS", 4)

    def run(folder, **options):
        model = ARCHITECTURES[name].initialise(0)
        kept = {"checkpoints": [0], "device": DEVICE}
        train(model, packed_rows(), stream_of(), QUICK, tmp_path / folder, seed=0, **kept, **options)
        return weights_of(tmp_path / folder)

    whole = run("whole")
    with pytest.raises(Crash):
        run("part", advance=crash_after(9))
    same(whole, run("part"), 1e-4)


def test_a_branch_begins_from_a_checkpoint_with_moments(tmp_path):
    def run(folder, **options):
        model = ARCHITECTURES[PLAIN].initialise(0)
        train(model, packed_rows(), stream_of(), QUICK, tmp_path / folder, seed=0, device=DEVICE, **options)
        return weights_of(tmp_path / folder)

    whole = run("whole", checkpoints=[6], keep_moments=[6])
    branch = run("branch", first_step=6, start=tmp_path / "whole" / "step_00000006")
    same(whole, branch, 1e-4)


def objective_for(kind, model):
    if kind == "sft":
        return supervised(rows_of())
    chosen, rejected = supervised(rows_of(seed=1)), supervised(rows_of(seed=2))
    with torch.no_grad():
        reference = margins(model, chosen, rejected, torch.arange(6)).cpu()
    return Preferred(chosen=chosen, rejected=rejected, reference=reference, beta=0.3)


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_fine_tuning_and_its_resumption(tmp_path, monkeypatch, kind, lora):
    monkeypatch.setattr(loop, "AUTOSAVE_STEPS", 2)

    def run(folder, device, **options):
        model = tiny().to(device)
        objective = objective_for(kind, model)
        tuned = with_adapters(model, LoraRecipe(rank=2, targets=TARGETS["gpt2"]), seed=1) if lora else model
        save = partial(save_adapted, tuned) if lora else model.save_pretrained
        stream = RECIPE.order(6, 0)
        finetune(tuned, objective, stream, RECIPE, tmp_path / folder, seed=0, save=save, **options)
        return np.load(tmp_path / folder / "losses.npy"), dict(
            load_model(tmp_path / folder / "step_00000006").state_dict()
        )

    whole = run("gpu", DEVICE)
    same(run("cpu", "cpu"), whole, 1e-5)
    with pytest.raises(Crash):
        run("part", DEVICE, advance=crash_after(5))
    same(whole, run("part", DEVICE), 1e-5)


def test_dropout_leaves_the_generators_as_they_were(tmp_path):
    recipe = RECIPE.model_copy(update={"dropout": True})
    model = tiny().to(DEVICE)
    states = torch.get_rng_state(), torch.cuda.get_rng_state()
    finetune(model, supervised(rows_of()), recipe.order(6, 0), recipe, tmp_path, seed=0, save=model.save_pretrained)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.equal(torch.cuda.get_rng_state(), states[1])
