import os
import signal
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors import torch as safetensors
from tiny_runs import ARCHITECTURES, QUICK, bytes_of
from transformers import PreTrainedModel

from imprint.corpus import PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ConfigError
from imprint.interventions.data import EditedStream
from imprint.models import Train, checkpoint_name, checkpoint_steps, open_checkpoint, training
from imprint.runs import Context, Step, Store, recipe

EVERY = list(ARCHITECTURES)
PLAIN, DROPOUT = "gpt2", "gpt2 with dropout and tied embeddings"
ROWS = WorldRows(world=PlantedWorld(vocabulary=19, context=12, bos=True), rows=40)
ORDER = ShuffledStream(packed=ROWS, steps=16, batch=4, seed=3)


class Numbers(Step):
    """Rows to delete."""

    def execute(self, folder: Path, context: Context) -> None:
        training.np.save(folder / "rows.npy", training.np.arange(10))


DELETED = EditedStream(base=ORDER, rows=Numbers(), kind="delete", first=8, last=16, seed=0)


def run(name=PLAIN, **fields):
    defaults = {"packed": ROWS, "stream": ORDER, "seed": 5, "last_step": 16, "checkpoint_every": 4}
    return Train.model_validate({"architecture": ARCHITECTURES[name], "optimisation": QUICK, **defaults, **fields})


def branch(trunk, first_step=8, **fields):
    return trunk.model_copy(update={"trunk": trunk, "first_step": first_step, **fields})


DIGEST = cache(recipe.source_digest)


@pytest.fixture(autouse=True)
def quick_store(monkeypatch):
    """The source is read once; data of a killed process stay in the kernel's cache, so fsync can be left out."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(recipe, "source_digest", DIGEST)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


# A run and its checkpoints


def test_a_run_leaves_its_checkpoints_and_nothing_else(store):
    step = run(last_step=10)
    folder = store.get(step)
    assert step.checkpoints == [0, 4, 8, 10] == checkpoint_steps(folder)
    assert step.updates == 10
    files = {"config.json", "generation_config.json", "model.safetensors", "optimiser.safetensors"}
    assert set(bytes_of(folder)) == {f"{checkpoint_name(at)}/{name}" for at in step.checkpoints for name in files}
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"manifest.json"}
    bare = store.get(run(last_step=10, keep_moments=False))
    assert not list(bare.rglob("optimiser.safetensors"))
    assert bytes_of(bare).items() <= bytes_of(folder).items()


def test_a_run_is_the_beginning_of_a_longer_one(store):
    short, long = bytes_of(store.get(run(last_step=12))), bytes_of(store.get(run()))
    assert short.items() < long.items()


@pytest.mark.parametrize("name", [PLAIN, DROPOUT])
def test_two_stores_hold_the_same_bytes(tmp_path, name):
    first, second = (Store(tmp_path / place).get(run(name)) for place in ("a", "b"))
    assert first != second
    assert bytes_of(first) == bytes_of(second)


def test_progress_counts_every_update_once(store):
    steps = []
    store.get(run(), advance=steps.append)
    assert sum(steps) == 16
    steps.clear()
    store.get(branch(run()), advance=steps.append)
    assert sum(steps) == 8 == branch(run()).updates


def test_a_checkpoint_is_a_plain_model_in_evaluation_mode(store):
    folder = store.get(run(DROPOUT))
    model = open_checkpoint(folder, 8)
    assert not model.training
    assert model.lm_head.weight is model.transformer.wte.weight
    with pytest.raises(ConfigError, match="no checkpoint at step 9; the run has 0, 4, 8, 12, 16"):
        open_checkpoint(folder, 9)
    many = store.get(run(checkpoint_every=2))
    with pytest.raises(ConfigError, match=r"the run has 0, 2, \.\.\., 16"):
        open_checkpoint(many, 9)


def test_a_stream_that_is_too_short_is_refused(store):
    with pytest.raises(ConfigError, match="stream has 16 steps but the run asks for 17"):
        store.get(run(last_step=17))


# Branches


@pytest.mark.parametrize("name", EVERY)
def test_a_branch_without_an_edit_is_the_run_that_was_never_interrupted(store, name):
    trunk = run(name)
    whole, part = bytes_of(store.get(trunk)), bytes_of(store.get(branch(trunk)))
    assert {path: data for path, data in whole.items() if path >= checkpoint_name(8)} == part


def test_a_branch_of_a_branch_too(store):
    trunk = run(DROPOUT)
    twice = branch(branch(trunk, 4), 8)
    whole, part = bytes_of(store.get(trunk)), bytes_of(store.get(twice))
    assert checkpoint_steps(store.path(twice)) == [8, 12, 16]
    assert part.items() < whole.items()


def test_an_edited_branch_shares_its_beginning_and_then_differs(store):
    trunk = run()
    whole, part = bytes_of(store.get(trunk)), bytes_of(store.get(branch(trunk, stream=DELETED)))
    same = {path.split("/")[0] for path in part if "safetensors" in path and part[path] == whole[path]}
    assert same == {checkpoint_name(8)}


def test_a_branch_needs_a_checkpoint_with_moments(store):
    for trunk, first in ((run(keep_moments=False), 8), (run(), 9)):
        with pytest.raises(ConfigError, match=f"no checkpoint with moments at step {first}"):
            store.get(branch(trunk, first))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"first_step": 8}, "needs both a trunk and the step"),
        ({"trunk": run()}, "needs both a trunk and the step"),
        ({"trunk": run(), "first_step": 16}, "first_step 16 must come before last_step 16"),
        ({"trunk": run("llama"), "first_step": 8}, "must have its trunk's architecture"),
        ({"last_step": 0}, "greater than or equal to 1"),
    ],
)
def test_a_branch_that_makes_no_sense_is_refused_before_anything_runs(fields, words):
    with pytest.raises(ValidationError, match=words):
        run(**fields)


# Kills. The child is forked, so it needs no start-up; it kills itself at the moment asked.


def attempt(store, step, sabotage=lambda: None):
    """The exit code of a child that computes the step."""
    if (child := os.fork()) == 0:
        try:
            sabotage()
            store.get(step)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def at_line(number):
    """Kill at the n-th line that runs in training.py."""

    def sabotage():
        left = number

        def trace(frame, event, _argument):
            nonlocal left
            if frame.f_code.co_filename != training.__file__:
                return None
            left -= event == "line"
            if left == 0:
                kill()
            return trace

        sys.settrace(trace)

    return sabotage


def in_save_file(number):
    """Kill when half of the n-th file of moments or autosave is written."""

    def sabotage():
        left = number

        def torn(tensors, path):
            nonlocal left
            left -= 1
            data = safetensors.save(tensors)
            Path(path).write_bytes(data if left else data[: len(data) // 2])
            if left == 0:
                kill()

        training.save_file = torn

    return sabotage


def in_save_pretrained(number):
    """Kill when half of the weights of the n-th checkpoint is written."""

    def sabotage():
        left, real = number, PreTrainedModel.save_pretrained

        def torn(model, folder):
            nonlocal left
            left -= 1
            real(model, folder)
            if left == 0:
                weights = Path(folder) / "model.safetensors"
                weights.write_bytes(weights.read_bytes()[:1000])
                (Path(folder) / "config.json").write_text("{")
                kill()

        PreTrainedModel.save_pretrained = torn

    return sabotage


def in_update(number):
    """Kill within the n-th update of this process."""

    def sabotage():
        left, real = number, training.token_losses

        def losses(logits, labels):
            nonlocal left
            left -= 1
            return kill() if left == 0 else real(logits, labels)

        training.token_losses = losses

    return sabotage


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(training, "AUTOSAVE_STEPS", 5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of the runs that nobody interrupts, with autosaves as rare as usual."""
    store = Store(tmp_path_factory.mktemp("whole"))
    return {name: bytes_of(store.get(run(name))) for name in (PLAIN, DROPOUT)}


MOMENTS = {f"line {n}": at_line(n) for n in (30, 480, 1320, 2000, 2600)}
MOMENTS |= {f"moments or autosave {n}": in_save_file(n) for n in (1, 3, 6, 8)}  # 3, 6 and 8 are autosaves
MOMENTS |= {f"weights {n}": in_save_pretrained(n) for n in (1, 4)}


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_is_resumed_to_the_same_bytes(store, whole, moment):
    step = run(DROPOUT)
    assert attempt(store, step, MOMENTS[moment]) == -signal.SIGKILL
    assert not store.has(step)
    assert store.unfinished() == [step.key]
    assert bytes_of(store.get(step)) == whole[DROPOUT]
    assert store.verify() == []


@pytest.mark.usefixtures("often")
def test_a_run_that_is_killed_again_and_again_goes_forward(store, whole):
    step = run()
    codes = [attempt(store, step, in_update(7)) for _ in range(3)]  # from 0, from 5, from 10
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert bytes_of(store.path(step)) == whole[PLAIN]


@pytest.mark.usefixtures("often")
def test_a_killed_branch_is_resumed_to_the_same_bytes(store, whole):
    trunk = run(DROPOUT)
    store.get(trunk)
    step = branch(trunk)
    assert attempt(store, step, in_save_file(4)) == -signal.SIGKILL  # 8, autosave 10, 12, autosave 15
    autosave = store.root / f"{step.key}.part" / "scratch" / "autosave.safetensors"
    assert int(safetensors.load_file(autosave)["step"]) == 10
    assert bytes_of(store.get(step)).items() < whole[DROPOUT].items()


@pytest.mark.usefixtures("often")
def test_a_run_that_is_killed_from_outside_is_resumed_to_the_same_bytes(store, whole):
    step = run(PLAIN)
    autosave = store.root / f"{step.key}.part" / "scratch" / "autosave.safetensors"
    if (child := os.fork()) == 0:
        training.clip = torch.nn.utils.clip_grad_norm_
        torch.nn.utils.clip_grad_norm_ = lambda *args: (time.sleep(0.02), training.clip(*args))[1]
        store.get(step)
        os._exit(0)
    end = time.monotonic() + 20
    while not autosave.exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    done = []
    assert bytes_of(store.get(step, advance=done.append)) == whole[PLAIN]
    assert done[0] >= 5
