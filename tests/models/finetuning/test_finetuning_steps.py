import json
import math
import os
import signal
from functools import cache

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tuning_runs import bytes_of, tiny, write_chats, write_pairs

from imprint.corpus import (
    TOKENIZER_FOLDER,
    PlantedWorld,
    ShuffledStream,
    Stream,
    WorldRows,
    byte_tokenizer,
)
from imprint.corpus.chat import RenderedChats, RenderedPreferences
from imprint.errors import ConfigError, ContextTooLong, CorpusError
from imprint.interventions.data import EditedStream
from imprint.models import (
    Architecture,
    Optimisation,
    Train,
    checkpoint_steps,
    load_model,
    load_tokenizer,
    open_checkpoint,
)
from imprint.models.finetuning import (
    LoraRecipe,
    PreferenceRecipe,
    PreferenceTuning,
    SupervisedRecipe,
    SupervisedTuning,
    TuningOrder,
    loop,
)
from imprint.runs import Context, Step, Store, recipe

SFT = SupervisedRecipe(learning_rate=0.01, warmup_steps=2, batch=4, steps=6)
DPO = PreferenceRecipe(learning_rate=0.005, warmup_steps=2, batch=4, steps=6, beta=0.5)
LORA = LoraRecipe(rank=2, alpha=4.0, targets=("c_attn",))
DIGEST = cache(recipe.source_digest)


@pytest.fixture(autouse=True)
def quick_store(monkeypatch):
    """The source is read once; data of a killed process stay in the kernel's cache, so fsync can be left out."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(recipe, "source_digest", DIGEST)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def base(tmp_path):
    """A saved model of 256 tokens and its tokenizer."""
    tiny(vocabulary=256).float().save_pretrained(tmp_path / "base")
    byte_tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def chats(tmp_path):
    return RenderedChats(paths=(write_chats(tmp_path / "chats.jsonl"),), context=40)


@pytest.fixture
def pairs(tmp_path):
    return RenderedPreferences(paths=(write_pairs(tmp_path / "pairs.jsonl"),), context=40)


def supervised(base, chats, **fields):
    return SupervisedTuning(start=base, rows=chats, **{"tuning": SFT, "seed": 1, "checkpoint_every": 4} | fields)


def nest(base, chats, pairs):
    """SFT, DPO on its result, and an adversarial SFT with adapters on that."""
    sft = supervised(base, chats)
    dpo = PreferenceTuning(start=sft, rows=pairs, tuning=DPO, seed=2)
    return sft, dpo, supervised(dpo, chats, lora=LORA, seed=3)


def losses(folder):
    return np.load(folder / "losses.npy")


# The stages in turn


def test_a_nest_of_stages_leaves_plain_models_with_their_tokenizer(store, base, chats, pairs):
    folders = [store.get(stage) for stage in nest(base, chats, pairs)]
    assert [checkpoint_steps(folder) for folder in folders] == [[0, 4, 6], [0, 6], [0, 4, 6]]
    for before, after in zip([base, *(folder / "step_00000006" for folder in folders)], folders, strict=False):
        start, first, last = load_model(before), open_checkpoint(after, 0), open_checkpoint(after, 6)
        same = [torch.equal(one, other) for one, other in zip(start.parameters(), first.parameters(), strict=True)]
        assert all(same)
        assert any((one != other).any() for one, other in zip(first.parameters(), last.parameters(), strict=True))
        assert load_tokenizer(after / "step_00000006").get_vocab() == byte_tokenizer().get_vocab()
    assert losses(folders[1])[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses(folders[1])[-1] < math.log(2) - 0.01
    assert losses(folders[0])[-1] < losses(folders[0])[0]
    assert not list(folders[1].rglob("adapter*"))
    assert set(load_file(folders[2] / "step_00000006/adapter/adapter_model.safetensors")) == {
        f"base_model.model.transformer.h.{layer}.attn.c_attn.lora_{side}.weight" for layer in (0, 1) for side in "AB"
    }


def test_a_stage_starts_from_any_checkpoint_of_a_pretrained_run(store, tmp_path):
    rows = WorldRows(world=PlantedWorld(vocabulary=19, context=12, bos=True), rows=20)
    architecture = Architecture(config={"vocab_size": 20, "n_positions": 12, "n_embd": 8, "n_layer": 1, "n_head": 2})
    trunk = Train(
        architecture=architecture, optimisation=Optimisation(), packed=rows, seed=0, last_step=4, checkpoint_every=2,
        stream=ShuffledStream(packed=rows, steps=4, batch=4, seed=0),
    )  # fmt: skip
    stage = SupervisedTuning(start=trunk, start_step=2, rows=rows, tuning=SFT, seed=0)  # mid-training on documents
    first = open_checkpoint(store.get(stage), 0).state_dict()
    at = {step: open_checkpoint(store.get(trunk), step).state_dict() for step in (2, 4)}
    assert all(torch.equal(value, at[2][name]) for name, value in first.items())
    assert not all(torch.equal(value, at[4][name]) for name, value in first.items())
    with pytest.raises(ConfigError, match="no checkpoint at step 3; the start has checkpoints at 0, 2, 4"):
        store.get(stage.model_copy(update={"start_step": 3}))


def test_the_same_recipe_gives_the_same_bytes_in_another_place(tmp_path, base, chats, pairs):
    stages = nest(base, chats, pairs)
    one, other = (Store(tmp_path / name) for name in ("one", "another store"))
    for stage in stages:
        assert bytes_of(one.get(stage)) == bytes_of(other.get(stage))
        assert not any(str(tmp_path).encode() in data for data in bytes_of(one.get(stage)).values())
    changed = stages[2].model_copy(update={"seed": 4})
    assert changed.key != stages[2].key
    assert bytes_of(one.get(changed)) != bytes_of(one.get(stages[2]))
    assert stages[2].model_copy(update={"lora": LORA.model_copy(update={"rank": 3})}).key != stages[2].key


class Chosen(Step):
    """Rows 0 and 3."""

    def execute(self, folder, context: Context) -> None:
        np.save(folder / "rows.npy", np.array([0, 3]))


def test_rows_left_out_by_an_edited_order(store, base, chats, pairs):
    sft = supervised(base, chats)
    order = TuningOrder(rows=chats, tuning=SFT, seed=1)
    assert bytes_of(store.get(sft.model_copy(update={"stream": order}))) == bytes_of(store.get(sft))
    edited = EditedStream(base=order, rows=Chosen(), kind="delete", first=0, last=6, seed=0)
    drawn = Stream.load(store.get(edited))
    assert (drawn.weights == 0).sum() == np.isin(Stream.load(store.get(order)).rows, [0, 3]).sum() > 0
    assert bytes_of(store.get(sft.model_copy(update={"stream": edited}))) != bytes_of(store.get(sft))
    assert Stream.load(store.get(TuningOrder(rows=pairs, tuning=DPO, seed=1))).rows.shape == (6, 4)


# Kills. The child is forked, so it needs no start-up; it kills itself at the moment asked.


def killed_at(store, step, update):
    child = os.fork()
    if child == 0:
        real, calls = loop._update, []

        def counted(*args):
            calls.append(args)
            return os.kill(os.getpid(), signal.SIGKILL) if len(calls) == update else real(*args)

        loop._update = counted
        store.get(step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_killed_stage_is_resumed_to_the_same_bytes(tmp_path, monkeypatch, store, base, chats, pairs, stage):
    monkeypatch.setattr(loop, "AUTOSAVE_STEPS", 2)
    step = nest(base, chats, pairs)[stage]
    for upstream in step.upstream():
        store.get(upstream)
    assert killed_at(store, step, 6)
    assert store.unfinished() == [step.key]
    autosave = store.root / f"{step.key}.part" / "scratch" / "autosave.safetensors"
    assert len(load_file(autosave)["losses"]) == 4
    resumed = bytes_of(store.get(step))
    assert resumed == bytes_of(Store(tmp_path / "undisturbed").get(step))
    assert json.loads((store.get(step) / "manifest.json").read_text())["resumed"] is True
    assert store.verify() == []


# Input that cannot be trained on


def refused(store, step, error, words):
    with pytest.raises(error, match=words) as caught:
        store.get(step)
    assert "\n" not in str(caught.value)


def test_unknown_targets(store, base, chats):
    step = supervised(base, chats, lora=LoraRecipe(targets=("q_proj",)))
    refused(store, step, ConfigError, r"lora\.targets: no Linear or Conv1D .* 'q_proj'; it has c_attn")


def test_a_smaller_vocabulary_and_another_tokenizer(store, tmp_path, base, chats, pairs):
    tiny(vocabulary=100).float().save_pretrained(tmp_path / "small")
    words = "hold token id 121 but the model has a vocabulary of 100"
    refused(store, supervised(tmp_path / "small", chats), ConfigError, words)
    refused(store, PreferenceTuning(start=tmp_path / "small", rows=pairs, seed=0), ConfigError, words)
    other = json.loads((base / "tokenizer.json").read_text())
    vocabulary = other["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (base / "tokenizer.json").write_text(json.dumps(other))
    refused(
        store, supervised(base, chats), ConfigError, "another tokenizer.*'a' is 98 with the model and 97 in the rows"
    )


def test_rows_longer_than_the_context(store, tmp_path, base):
    long = RenderedChats(paths=(write_chats(tmp_path / "c.jsonl"),), context=40)
    tiny("llama", vocabulary=256).float().save_pretrained(tmp_path / "short")
    refused(store, supervised(tmp_path / "short", long), ContextTooLong, r"tokens but the model's context is 16")


def test_pairs_whose_prompt_exceeds_the_context(store, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": "q" * size, "chosen": "a", "rejected": "b"}) + "\n" for size in (3, 90, 80))
    )
    listed = RenderedPreferences(paths=(path,), context=32)
    [warning] = json.loads((store.get(listed) / "manifest.json").read_text())["warnings"]
    assert warning.startswith(
        "the prompts of 2 pairs leave no room for an answer within 32 tokens: no row (first: 'long:2')"
    )
    refused(
        store,
        listed.model_copy(update={"strict": True}),
        CorpusError,
        r"prompts of 2 pairs.*\(first: 'long:2'\); raise",
    )
    refused(
        store, listed.model_copy(update={"context": 12}), CorpusError, "in none of 3 pairs does the prompt leave room"
    )
    assert (store.get(listed) / TOKENIZER_FOLDER).is_dir()


def test_recipes_that_mean_nothing(base, chats):
    with pytest.raises(ValidationError, match="not both"):
        supervised(base, chats, tuning=SupervisedRecipe(epochs=1, steps=3))
    with pytest.raises(ValidationError, match="rank"):
        LoraRecipe(rank=0)
    with pytest.raises(ValidationError, match="beta"):
        PreferenceRecipe(beta=0)
