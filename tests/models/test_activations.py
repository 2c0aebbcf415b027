"""Captured activations are those of the model's own forward pass, whatever the padding, batching and interruptions."""

import numpy as np
import pytest
import torch
from tiny_families import EVERY, tiny
from tiny_runs import ARCHITECTURES, QUICK

from imprint.corpus import PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ComponentNotFound, ConfigError, ContextTooLong, CorpusError, ModelError
from imprint.models import (
    Activations,
    ActivationStore,
    Train,
    activations,
    capture,
    capture_plan,
    open_checkpoint,
    record,
)
from imprint.models.prefix import depth
from imprint.runs import Store

SITES = ("L0.resid_pre", "L1.resid_post", "L1.mlp", "L0.H2")


def rows(count=9, longest=8, seed=0):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest + 1, count)
    tokens = generator.integers(1, 31, (count, longest + 2))
    tokens[np.arange(longest + 2) >= lengths[:, None]] = 0
    return tokens, lengths


def prefixed(name):
    return tuple(("encoder." if name == "t5" else "") + site for site in SITES)


def expected(model, name, tokens, lengths, site, skip=0):
    """One row at a time, without padding, through the whole model."""
    found = []
    for row, length in zip(tokens, lengths, strict=True):
        ids = torch.from_numpy(row[None, :length])
        extra = {"decoder_input_ids": ids} if name == "t5" else {}
        with torch.no_grad(), record(model, [site]) as states:
            model(input_ids=ids, **extra)
        found.append(states[site][0, skip:].numpy())
    return np.concatenate(found)


@pytest.mark.parametrize("name", EVERY)
def test_states_are_those_of_each_row_alone(name, tmp_path):
    model, (tokens, lengths) = tiny(name), rows()
    store = capture(model, tokens, lengths, prefixed(name), tmp_path, batch_tokens=24)
    assert store.num_tokens == lengths.sum()
    for site in prefixed(name):
        true = expected(model, name, tokens, lengths, site)
        assert store.states(site).dtype == np.float16
        np.testing.assert_allclose(store.states(site), true, rtol=2e-3, atol=2e-3 * np.abs(true).max())


def test_every_state_knows_its_token(tmp_path):
    tokens, lengths = rows()
    store = capture(tiny("llama"), tokens, lengths, ["embed"], tmp_path)
    np.testing.assert_array_equal(store.token_id, tokens[store.row, store.position])
    np.testing.assert_array_equal(store.row, np.repeat(np.arange(len(tokens)), lengths))
    np.testing.assert_array_equal(store.position, np.concatenate([np.arange(length) for length in lengths]))
    table = tiny("llama").get_input_embeddings().weight.detach().numpy()
    np.testing.assert_allclose(store.states("embed"), table[store.token_id], rtol=1e-3, atol=1e-4)


def test_leading_tokens_can_be_left_out(tmp_path):
    model, (tokens, lengths) = tiny("gpt2"), rows()
    store = capture(model, tokens, lengths, ["L1.resid_post"], tmp_path, skip=2)
    assert store.position.min() == 2
    true = expected(model, "gpt2", tokens, lengths, "L1.resid_post", skip=2)
    np.testing.assert_allclose(store.states("L1.resid_post"), true, rtol=2e-3, atol=2e-3 * np.abs(true).max())


def test_memory_mapped_and_without_the_unembedding(tmp_path):
    model, (tokens, lengths) = tiny("llama"), rows()
    model.get_output_embeddings().register_forward_hook(lambda *_: pytest.fail("the unembedding ran"))
    store = capture(model, tokens, lengths, ["L1.resid_post"], tmp_path)
    assert isinstance(store.states("L1.resid_post"), np.memmap)


def test_blocks_above_the_highest_site_do_not_run(tmp_path):
    model, (tokens, lengths) = tiny("llama"), rows(3)
    ran = []
    model.model.layers[1].register_forward_hook(lambda *_: ran.append(1))
    capture(model, tokens, lengths, ["L0.resid_post"], tmp_path, batch_tokens=8)
    assert len(ran) == 1  # once, to measure widths
    assert depth(model) == 2


def small_parts(monkeypatch, tokens=10):
    monkeypatch.setattr(capture_plan, "PART_TOKENS", tokens)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("part", [3, 10, 10_000])
def test_parts_change_no_byte_of_rows_that_run_alone(part, tmp_path, monkeypatch):
    model, (tokens, lengths) = tiny("gpt_neox"), rows()
    whole = files(capture(model, tokens, lengths, SITES, tmp_path / "whole", batch_tokens=1).folder)
    small_parts(monkeypatch, part)
    assert files(capture(model, tokens, lengths, SITES, tmp_path / "parts", batch_tokens=1).folder) == whole


@pytest.mark.parametrize("survived", [1, 3, 6])
def test_a_killed_capture_goes_on_and_gives_the_same_bytes(survived, tmp_path, monkeypatch):
    small_parts(monkeypatch)
    model, (tokens, lengths) = tiny("llama"), rows(12)
    whole = files(capture(model, tokens, lengths, SITES, tmp_path / "whole", batch_tokens=16).folder)
    calls = []

    def dies(*arguments):
        if len(calls) == survived * len(SITES) + 2:  # in the middle of a part, with half of its sites written
            raise KeyboardInterrupt
        calls.append(arguments)
        write(*arguments)

    write = activations.write_part
    monkeypatch.setattr(activations, "write_part", dies)
    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        capture(model, tokens, lengths, SITES, killed, batch_tokens=16)
    with pytest.raises(CorpusError, match="no finished capture"):
        ActivationStore.open(killed)
    monkeypatch.setattr(activations, "write_part", write)
    advanced = []
    forwards = []
    model.model.layers[0].register_forward_hook(lambda *_: forwards.append(1))
    again = capture(model, tokens, lengths, SITES, killed, batch_tokens=16, advance=advanced.append)
    assert files(again.folder) == whole
    assert sum(advanced) == len(tokens)
    full = len(list(batches(tokens, lengths)))
    assert len(forwards) < full + 1


def batches(tokens, lengths):
    plan = capture_plan.CapturePlan.of(tokens, lengths.astype(np.int64), 0)
    for first, last in plan.parts():
        yield from plan.batches(first, last, 16)


def test_a_finished_capture_is_not_computed_again_unless_its_inputs_change(tmp_path):
    model, (tokens, lengths) = tiny("llama"), rows()
    first = np.array(capture(model, tokens, lengths, ["L0.mlp"], tmp_path).states("L0.mlp"))
    model.model.layers[0].register_forward_hook(lambda *_: pytest.fail("ran again"))
    again = capture(model, tokens, lengths, ["L0.mlp"], tmp_path)
    np.testing.assert_array_equal(again.states("L0.mlp"), first)
    other = capture(tiny("llama"), tokens[::-1].copy(), lengths[::-1].copy(), ["L0.mlp"], tmp_path)
    assert not np.array_equal(other.states("L0.mlp"), first)


def test_the_model_is_left_as_it_was(tmp_path):
    model, (tokens, lengths) = tiny("gpt2").train(), rows()
    capture(model, tokens, lengths, ["L0.mlp"], tmp_path)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_cannot_be_captured_is_refused(tmp_path):
    model, (tokens, lengths) = tiny("llama"), rows()
    for sites, error, match in (
        ((), ConfigError, "at least one"),
        (("L0.mlp", "L0.mlp"), ConfigError, "each once"),
        (("L0.pattern",), ComponentNotFound, "pattern"),
        (("L7.mlp",), ComponentNotFound, "layers 0 to 1"),
    ):
        with pytest.raises(error, match=match):
            capture(model, tokens, lengths, sites, tmp_path)
    with pytest.raises(ConfigError, match="2 lengths do not fit 9 rows"):
        capture(model, tokens, lengths[:2], ["L0.mlp"], tmp_path)
    with pytest.raises(ConfigError, match="batch_tokens=0"):
        capture(model, tokens, lengths, ["L0.mlp"], tmp_path, batch_tokens=0)
    with pytest.raises(CorpusError, match="no token is left"):
        capture(model, tokens, lengths, ["L0.mlp"], tmp_path, skip=10)
    with pytest.raises(ContextTooLong):
        capture(model, np.ones((1, 40), dtype=np.int64), np.array([40]), ["L0.mlp"], tmp_path)
    with pytest.raises(ComponentNotFound, match="encoder"):
        capture(tiny("t5"), tokens, lengths, ["decoder.L0.mlp"], tmp_path)
    assert not any(tmp_path.glob("*.npy"))


def test_states_beyond_float16_are_refused(tmp_path):
    model, (tokens, lengths) = tiny("llama"), rows()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1e6)
    with pytest.raises(ModelError, match="embed holds an activation that float16 cannot hold"):
        capture(model, tokens, lengths, ["embed"], tmp_path)


def test_a_store_that_is_none_or_damaged_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no finished capture"):
        ActivationStore.open(tmp_path)
    store = capture(tiny("llama"), *rows(), ["embed"], tmp_path)
    with pytest.raises(ComponentNotFound, match=r"'L0.mlp' was not captured; this store has embed"):
        store.states("L0.mlp")
    np.save(tmp_path / "embed.npy", np.zeros((2, 3), dtype=np.float16))
    with pytest.raises(CorpusError, match="no finished capture"):
        ActivationStore.open(tmp_path)


def test_the_step_captures_a_training_run(tmp_path):
    packed = WorldRows(world=PlantedWorld(vocabulary=19, context=12, bos=True), rows=20)
    order = ShuffledStream(packed=packed, steps=2, batch=4, seed=3)
    run = Train(
        architecture=ARCHITECTURES["llama"], optimisation=QUICK, packed=packed, stream=order, seed=5, last_step=2
    )
    results = Store(tmp_path)
    folder = results.get(Activations(packed=packed, model=run, sites=("L1.resid_post",), batch_tokens=64))
    store = ActivationStore.open(folder)
    assert store.num_tokens == 20 * 12
    assert store.position.min() == 1
    assert not (folder / "scratch").exists()
    model = open_checkpoint(results.get(run), 2)
    from imprint.corpus import Packed

    tokens = Packed.load(results.get(packed)).tokens
    true = expected(model, "llama", tokens, np.full(20, 13), "L1.resid_post", skip=1)
    np.testing.assert_allclose(store.states("L1.resid_post"), true, rtol=2e-3, atol=2e-3 * np.abs(true).max())
