import polars as pl
import pytest
import torch
from pydantic import ValidationError

from imprint.capabilities import copy_hits, icl
from imprint.corpus import Packed, PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ConfigError
from imprint.mechanisms import (
    HEADS_FILE,
    TRAJECTORY_FILE,
    LocateHeads,
    ProbeOptions,
    Trajectory,
    prefix_matching,
    steps,
)
from imprint.models import (
    Architecture,
    Optimisation,
    Train,
    attention_patterns,
    induction_transformer,
    open_checkpoint,
)
from imprint.runs import Store, read_json

CONTEXT = 24
WORLD = PlantedWorld(vocabulary=23, context=CONTEXT, bos=True)
ROWS = WorldRows(world=WORLD, rows=64)
HELDOUT = WorldRows(world=WORLD, rows=48, seed=1)
SIZES = {"vocab_size": 24, "n_positions": CONTEXT, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16}
PROBE = ProbeOptions(alphabet=tuple(range(1, 24)), rows=8)
METRICS = {
    "induction.prefix_matching",
    "induction.other_heads",
    "previous_token",
    "copying",
    "duplicate_token",
    "copy.accuracy",
    "icl.olsson",
    "icl.mda",
    "icl.fewshot",
    "loss.heldout",
    "loss.repeats",
}


def run(**config):
    return Train(
        architecture=Architecture(config={**SIZES, "bos_token_id": 0, "eos_token_id": 0, **config}),
        optimisation=Optimisation(warmup_steps=5),
        packed=ROWS,
        stream=ShuffledStream(packed=ROWS, steps=20, batch=8, seed=0),
        seed=0,
        checkpoint_every=10,
        last_step=20,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def measured(store):
    return store.get(Trajectory(run=run(), heldout=HELDOUT, probe=PROBE))


# The probe


def test_the_probe_is_printable_ascii_or_a_list():
    assert ProbeOptions().tokens == tuple(range(32, 127))
    assert PROBE.tokens == tuple(range(1, 24))
    probes = ProbeOptions(periods=3).build(64)
    assert len({probe.period for probe in probes}) == 3
    assert probes[0].tokens.shape == (64, 63)
    assert set(probes[0].tokens[:, 0].tolist()) == {0}
    assert set(probes[0].tokens[:, 1:].flatten().tolist()) <= set(range(32, 127))


def test_the_probe_is_seeded():
    first, same, other = PROBE.build(CONTEXT)[0], PROBE.build(CONTEXT)[0], PROBE.build(CONTEXT, seed=6)[0]
    assert torch.equal(first.tokens, same.tokens)
    assert not torch.equal(first.tokens, other.tokens)


@pytest.mark.parametrize("field", [{"periods": 1}, {"rows": 7}, {"alphabet": "letters"}, {"row": 8}])
def test_one_period_is_not_enough(field):
    with pytest.raises(ValidationError):
        ProbeOptions.model_validate(field)


# The trajectory


def test_every_metric_is_there_at_every_checkpoint(measured):
    table = pl.read_parquet(measured / TRAJECTORY_FILE)
    assert table.columns == ["step", "metric", "value"]
    assert set(table["metric"]) == METRICS
    assert len(table) == 3 * len(METRICS)
    assert sorted(set(table["step"])) == [0, 10, 20]
    assert table["value"].is_finite().all()
    heads = pl.read_parquet(measured / HEADS_FILE)
    scores = ["induction.prefix_matching", "previous_token", "copying", "duplicate_token"]
    assert heads.columns == ["step", "layer", "head", *scores]
    assert len(heads) == 3 * 2 * 2
    assert heads["induction.prefix_matching"].is_between(0, 1).all()


def test_the_values_are_those_of_the_checkpoint(store, measured):
    model = open_checkpoint(store.path(run()), 20)
    values = dict(pl.read_parquet(measured / TRAJECTORY_FILE).filter(step=20).select("metric", "value").iter_rows())
    probes = PROBE.build(CONTEXT)
    scores = sum(prefix_matching(attention_patterns(model, probe.tokens), probe) for probe in probes) / 2
    assert values["induction.prefix_matching"] == pytest.approx(scores[1].max().item())
    hits = [copy_hits(model, probe).mean().item() for probe in probes]
    assert values["copy.accuracy"] == pytest.approx(sum(hits) / 2)
    heldout = Packed.load(store.path(HELDOUT))
    losses, mask = icl.row_losses(model, torch.from_numpy(heldout.tokens), torch.from_numpy(heldout.lengths).long())
    repeats = torch.from_numpy(heldout.row_domains == "novel repeats")
    assert 0 < repeats.sum() < len(repeats)
    assert values["loss.repeats"] == pytest.approx(losses[repeats].mean().item(), rel=1e-5)
    assert values["loss.heldout"] == pytest.approx(losses[~repeats].mean().item(), rel=1e-5)
    windows = icl.IclWindows.for_context(CONTEXT)
    assert values["icl.olsson"] == pytest.approx(icl.olsson(losses, mask, windows), abs=1e-5)
    assert values["icl.mda"] == pytest.approx(icl.mda(losses, mask, windows), abs=1e-5)
    heads = pl.read_parquet(measured / HEADS_FILE).filter(step=20)
    assert values["previous_token"] == pytest.approx(heads["previous_token"].max())
    fed = heads.filter(layer=1)["induction.prefix_matching"]
    assert values["induction.prefix_matching"] == fed.max()
    assert values["induction.other_heads"] == pytest.approx(fed.min())
    for name, probe in PROBE.mechanisms(["copying", "duplicate_token"], CONTEXT, rows=16).items():
        assert heads[name].to_numpy() == pytest.approx(probe.rows(model).mean(-1).flatten().numpy())
        assert values[name] == heads[name].max()
        assert heads[name].abs().min() > 0


def test_training_lowers_the_heldout_loss(measured):
    table = pl.read_parquet(measured / TRAJECTORY_FILE).filter(metric="loss.heldout").sort("step")
    assert table["value"].to_list() == sorted(table["value"], reverse=True)
    assert table["value"][0] == pytest.approx(torch.log(torch.tensor(24.0)).item(), abs=0.1)


def test_measuring_again_gives_the_same_bytes(store, measured, tmp_path):
    again = Store(tmp_path).get(Trajectory(run=run(), heldout=HELDOUT, probe=PROBE))
    for name in (TRAJECTORY_FILE, HEADS_FILE):
        assert (again / name).read_bytes() == (measured / name).read_bytes()


def test_progress_counts_checkpoints_once_the_run_is_there(store):
    store.get(run())
    done = []
    store.get(Trajectory(run=run(), heldout=HELDOUT, probe=PROBE, heldout_rows=8), advance=done.append)
    assert done == [1, 1, 1]


def test_a_corpus_without_repeats_has_no_loss_on_them(store):
    prose = WorldRows(world=PlantedWorld(vocabulary=23, context=CONTEXT, bos=True, shares={"prose": 1.0}), rows=16)
    folder = store.get(Trajectory(run=run(), heldout=prose, probe=PROBE))
    assert set(pl.read_parquet(folder / TRAJECTORY_FILE)["metric"]) == METRICS - {"loss.repeats"}


def test_a_model_of_one_layer_has_no_induction_head_to_speak_of(store):
    folder = store.get(Trajectory(run=run(n_layer=1), heldout=HELDOUT, probe=PROBE))
    table = pl.read_parquet(folder / TRAJECTORY_FILE).filter(metric="induction.prefix_matching")
    assert table["value"].to_list() == [0.0, 0.0, 0.0]
    assert "induction.other_heads" not in set(pl.read_parquet(folder / TRAJECTORY_FILE)["metric"])
    assert (pl.read_parquet(folder / HEADS_FILE)["induction.prefix_matching"] > 0).all()


# The heads of one checkpoint


def test_the_heads_of_a_young_run_have_no_role(store):
    step = LocateHeads(run=run(), step=20, context_length=CONTEXT, probe=PROBE, initial_models=3)
    location = read_json(store.get(step) / "location.json")
    names = ["L0.H0", "L0.H1", "L1.H0", "L1.H1"]
    assert [head["head"] for head in location["heads"]] == names
    assert {head["role"] for head in location["heads"]} == {""}
    assert [row["head"] for row in location["denoising"]] == names
    assert all(set(row["effect"]) >= {"estimate", "low", "high", "n"} for row in location["denoising"])
    assert location["copy_chance"] == pytest.approx(1 / 23)
    # Three initial models cannot give less than 1 / 4, so they were counted, and it was said.
    assert min(head["p_induction"] for head in location["heads"]) >= 0.25
    assert any("initial_models=3" in warning for entry in store.list() for warning in entry.manifest.warnings)
    assert set(location["mechanisms"]) == {"previous_token", "copying", "duplicate_token"}
    for found in location["mechanisms"].values():
        assert [head["head"] for head in found["heads"]] == names
        assert all(head["p"] >= 0.25 and head["role"] == "" for head in found["heads"])
        assert found["draws"] == 199 + 3
    assert location["circuit"] == []


def located(store, monkeypatch, model, **options):
    """What `LocateHeads` finds if the run's last checkpoint is the model."""
    monkeypatch.setattr(steps, "open_checkpoint", lambda folder, step: model)
    sizes = {"vocab_size": 50, "n_positions": 64}
    probe = ProbeOptions(alphabet=tuple(range(1, 50)), rows=16)
    step = LocateHeads(run=run(**sizes), step=20, context_length=40, probe=probe, **options)
    return read_json(store.get(step) / "location.json")


def test_every_mechanism_of_a_hand_built_model_is_found_and_so_is_its_circuit(store, monkeypatch):
    location = located(store, monkeypatch, induction_transformer(50, 64))
    assert [head["role"] for head in location["heads"]] == ["previous token", "", "induction", ""]
    assert location["heads"][2]["p_induction"] == pytest.approx(1 / 21)
    named = {
        name: [head["head"] for head in found["heads"] if head["role"]]
        for name, found in location["mechanisms"].items()
    }
    assert named == {"previous_token": ["L0.H0"], "copying": ["L1.H0"], "duplicate_token": []}
    drops = {(path["sender"], path["role"]): path for path in location["circuit"]}
    assert {sender for sender, _ in drops} == {"L0.H0", "L0.H1", "L0.H0+L0.H1"}
    assert {path["receiver"] for path in location["circuit"]} == {"L1.H0"}
    for (sender, role), path in drops.items():
        carries = role == "k" and "L0.H0" in sender
        assert (path["prefix_matching"]["low"] > 0.8) is carries
        assert (path["copying"]["low"] > 3) is carries
        if not carries:
            assert path["prefix_matching"]["estimate"] == path["copying"]["estimate"] == 0.0


def test_without_a_linear_path_to_the_logits_there_is_no_ov_score(store, monkeypatch):
    model = induction_transformer(50, 64)
    monkeypatch.setattr(steps, "has_direct_path", lambda model: False)
    location = located(store, monkeypatch, model, initial_models=0)
    assert set(location["mechanisms"]) == {"previous_token", "duplicate_token"}
    assert location["circuit"]


def test_bytes_have_successors_and_other_alphabets_have_none(store):
    step = LocateHeads(run=run(vocab_size=257, n_positions=64), step=20, context_length=40, initial_models=0)
    found = read_json(store.get(step) / "location.json")["mechanisms"]["successor"]
    assert found["heads"][0]["score"]["n"] == 9 + 25 + 25
    assert ProbeOptions(rows=8).mechanisms(["successor"], 24, rows=8)["successor"].sources[:9].tolist() == [
        *b"012345678"
    ]
    words = LocateHeads(run=run(vocab_size=400, n_positions=64), step=20, context_length=40, initial_models=0)
    assert "successor" not in read_json(store.get(words) / "location.json")["mechanisms"]


def test_the_probe_for_locating_is_not_that_of_the_trajectory(store, measured):
    """The head is chosen on the trajectory's sequences, so it is judged on fresh ones."""
    step = LocateHeads(run=run(), step=20, context_length=CONTEXT, probe=PROBE, initial_models=0)
    location = read_json(store.get(step) / "location.json")
    scores = {
        (row["layer"], row["head"]): row for row in pl.read_parquet(measured / HEADS_FILE).filter(step=20).to_dicts()
    }
    judged = location["heads"][0]["prefix_matching"]["estimate"]
    assert judged != pytest.approx(scores[0, 0]["induction.prefix_matching"], rel=1e-6)


def test_a_checkpoint_that_does_not_exist_is_refused(store):
    with pytest.raises(ConfigError, match="no checkpoint at step 15; the run has 0, 10, 20"):
        store.get(LocateHeads(run=run(), step=15, context_length=CONTEXT, probe=PROBE))
