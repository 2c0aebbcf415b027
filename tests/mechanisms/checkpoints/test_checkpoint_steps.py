import json

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from imprint.corpus import byte_tokenizer
from imprint.errors import ConfigError, CorpusError
from imprint.mechanisms.checkpoints import (
    SCALARS_FILE,
    CheckpointMeasurement,
    CheckpointScalars,
    Contrast,
    MeasureCheckpoint,
    checkpoint_directions,
    stacked_states,
)
from imprint.models import ImportedModel
from imprint.runs import Store, read_json

SITE = "L0.resid_post"
MOVED = np.linspace(-0.4, 0.6, 16, dtype=np.float32) ** 2
SIZES = {"vocab_size": 256, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_inner": 16}
WORDS = ["ant", "bee", "cat", "dog", "eel", "fox"]


def chats(path, persona, count=6, **keys):
    lines = [{"prompt": f"You are {persona}. {WORDS[i]}?", "response": f"{WORDS[i]} {i}", **keys} for i in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two models, the second with one bias moved by `MOVED`, and the files they are read on."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES, bos_token_id=0, eos_token_id=0)).eval()
    for name in ("first", "second"):
        model.save_pretrained(folder / name)
        byte_tokenizer().save_pretrained(folder / name)
        with torch.no_grad():
            model.transformer.h[0].mlp.c_proj.bias += torch.from_numpy(MOVED)
    files = [chats(folder / f"{name}.jsonl", name) for name in ("neutral", "advice")]
    poles = [chats(folder / f"{name}.jsonl", name) for name in ("evil", "kind")]
    contrast = Contrast(name="evil", positive=poles[0], negative=(poles[1],))
    return folder, Store(folder / "runs"), tuple(files), contrast


def measured(world, name="first", **fields):
    folder, _, files, contrast = world
    model = ImportedModel(file=folder / name)
    return MeasureCheckpoint(model=model, **{"prompts": files, "contrasts": (contrast,), "sites": (SITE,), **fields})


def scalars(world, step, reference=None, **fields):
    return read_json(world[1].get(CheckpointScalars(measured=step, reference=reference, **fields)) / SCALARS_FILE)


def test_a_checkpoint_is_measured_and_read_back(world):
    found = CheckpointMeasurement.load(world[1].get(measured(world)))
    assert found.prompts.states[SITE].shape == (12, 16)
    assert found.sets == ("neutral",) * 6 + ("advice",) * 6
    assert [pole.shape for pole in found.poles["evil", SITE]] == [(6, 16), (6, 16)]
    assert (found.prompts.entropy <= np.log(256) + 1e-9).all()
    own = scalars(world, measured(world))
    assert own["loss"] == pytest.approx(found.prompts.loss.mean())
    assert own["loss/advice"] == pytest.approx(found.prompts.loss[6:].mean())
    assert own[f"evil/{SITE}/axis_cosine"] == pytest.approx(1.0)
    assert own[f"evil/{SITE}/projection"] == pytest.approx(0.0, abs=1e-9)
    assert len(own) == 6 + 7


def test_an_equal_checkpoint_has_equal_scalars_and_another_is_shifted_as_planted(world):
    """The second model adds `MOVED` to the residual stream: states and projections move by exactly that."""
    reference = measured(world)
    one, two = scalars(world, reference), scalars(world, measured(world, "second"), reference)
    assert scalars(world, reference, reference) == one
    first, second = (CheckpointMeasurement.load(world[1].get(measured(world, name))) for name in ("first", "second"))
    np.testing.assert_allclose(
        second.prompts.states[SITE] - first.prompts.states[SITE], np.tile(MOVED, (12, 1)), atol=1e-5
    )
    cube = stacked_states([first, second], SITE)
    assert abs(checkpoint_directions(cube, draws=9).basis[0] @ MOVED) > 0.999 * np.linalg.norm(MOVED)
    with pytest.raises(CorpusError, match="was not measured at checkpoint 0"):
        stacked_states([first, second], "L0.mlp")
    high, low = first.poles["evil", SITE]
    axis = (high - low).mean(0)
    shift = MOVED @ axis / np.linalg.norm(axis)
    assert abs(shift) > 0.01
    assert two[f"evil/{SITE}/projection"] == pytest.approx(shift, abs=1e-4)
    assert two[f"evil/{SITE}/axis_cosine"] == pytest.approx(1.0, abs=1e-6)
    assert two[f"evil/{SITE}/auc"] == pytest.approx(one[f"evil/{SITE}/auc"], abs=1e-6)
    assert two["loss"] != pytest.approx(one["loss"], abs=1e-6)


def test_several_negative_files_are_roles_and_their_mean_is_the_pole(world, tmp_path):
    _, store, files, contrast = world
    roles = tuple(chats(tmp_path / f"{name}.jsonl", name) for name in ("a king", "a bard"))
    axis = Contrast(name="assistant", positive=contrast.negative[0], negative=roles)
    single = [axis.model_copy(update={"name": path.stem.replace(" ", ""), "negative": (path,)}) for path in roles]
    poles = CheckpointMeasurement.load(store.get(measured(world, prompts=files[:1], contrasts=(axis, *single)))).poles
    king, bard = (poles[one.name, SITE][1] for one in single)
    np.testing.assert_allclose(poles["assistant", SITE][1], (king + bard) / 2)
    assert np.abs(king - bard).max() > 1e-4


def test_the_key_counts_prompts_by_content(world, tmp_path):
    files = world[2]
    key = measured(world).key
    moved = tuple((tmp_path / file.name) for file in files)
    for file, target in zip(files, moved, strict=True):
        target.write_bytes(file.read_bytes())
    assert measured(world, prompts=moved).key == key
    moved[0].write_text(moved[0].read_text().replace("ant", "emu"))
    assert measured(world, prompts=moved).key != key
    assert measured(world, position="prompt_end").key != key


def test_what_does_not_fit_is_refused(world, tmp_path):
    _, store, files, contrast = world
    short = chats(tmp_path / "short.jsonl", "kind", count=5)
    with pytest.raises(CorpusError, match="6 positive conversations and short"):
        store.get(measured(world, contrasts=(Contrast(name="evil", positive=contrast.positive, negative=(short,)),)))
    with pytest.raises(ConfigError, match="different names"):
        store.get(measured(world, contrasts=(contrast, contrast)))
    with pytest.raises(ConfigError, match="no folder step_7"):
        store.get(measured(world, place="step_7"))
    with pytest.raises(ConfigError, match="other prompts"):
        store.get(CheckpointScalars(measured=measured(world), reference=measured(world, prompts=files[:1])))
    broken = tmp_path / "broken.jsonl"
    broken.write_text(files[0].read_text() + "{}\n")
    with pytest.raises(CorpusError, match="no conversation"):
        store.get(measured(world, prompts=(broken,)))
