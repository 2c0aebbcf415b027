"""Retraining arms, attribution shards and activation extraction on a real Ray cluster: the bytes of the local pool."""

import pytest

from imprint.attribution import Attribution, HeadOfRun, TopRows, attribute_sharded
from imprint.attribution.engine import shards
from imprint.attribution.sharded import HeadCurvature, ScoredShard
from imprint.corpus import PlantedWorld, ShuffledStream, WorldRows
from imprint.interventions.data import ControlRows, EditedStream
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Activations, ActivationShard, Architecture, Train, extract_sharded
from imprint.runs import LocalExecutor, RayExecutor, Store
from tiny_studies import bytes_of, quick_keys

__all__ = ["quick_keys"]
ROWS = WorldRows(world=PlantedWorld(vocabulary=16, context=16, shares={"prose": 0.6, "novel repeats": 0.4}), rows=40)
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 17, "vocab_size": 16}
TRUNK = Train(
    architecture=Architecture(config=SIZES | {"bos_token_id": 0, "eos_token_id": 0}),
    packed=ROWS,
    stream=ShuffledStream(packed=ROWS, steps=8, batch=8, seed=0),
    seed=0,
    checkpoint_every=4,
    last_step=8,
)
ASKED = {"run": TRUNK, "step": 4, "packed": ROWS, "head": "L1.H0"}
PROBE = ProbeOptions(alphabet=tuple(range(16)), rows=8, bos=None)
QUESTION = HeadOfRun(**ASKED, probe=PROBE)
TOP = TopRows(attribution=Attribution(**ASKED, probe=PROBE), fraction=0.2)
STATES = Activations(packed=ROWS, model=TRUNK, step=4, sites=("L0.resid_post", "L1.H1"))


def arm(rows):
    edited = EditedStream(base=TRUNK.stream, rows=rows, kind="delete", first=4, last=8, seed=0)
    return TRUNK.model_copy(update={"trunk": TRUNK, "first_step": 4, "stream": edited})


ARMS = [arm(TOP), arm(ControlRows(treated=TOP, packed=ROWS, kind="random", seed=1))]
SCORED = [ScoredShard(curvature=HeadCurvature(question=QUESTION), first=n, last=n + 20) for n in (0, 20)]
CAPTURED = [
    ActivationShard(**{name: getattr(STATES, name) for name in Activations.model_fields}, first=n, last=n + 20)
    for n in (0, 20)
]
EVERYTHING = [*ARMS, *SCORED, *CAPTURED]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("alone"))
    return store, LocalExecutor(workers=1).run(EVERYTHING, store, stage="everything", units=1)


def computed_by(executor, root):
    return [bytes_of(path) for path in executor.run(EVERYTHING, Store(root), stage="everything", units=1)]


def test_arms_differ_and_hold_checkpoints(alone):
    treated, control = (bytes_of(path) for path in alone[1][:2])
    weights = "step_00000008/model.safetensors"
    assert treated[weights] != control[weights]
    assert treated["step_00000004/model.safetensors"] == control["step_00000004/model.safetensors"]


def test_two_local_processes_give_the_bytes_of_one(alone, tmp_path):
    assert computed_by(LocalExecutor(workers=2), tmp_path) == [bytes_of(path) for path in alone[1]]


def test_a_cluster_gives_the_bytes_of_one_process(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_TOKENS", 20 * 17)
    store, local = Store(tmp_path), LocalExecutor(workers=1)
    executor = RayExecutor(workers=2)
    with executor.connection():
        assert computed_by(executor, tmp_path) == [bytes_of(path) for path in alone[1]]
        assert store.verify() == []
        scored = attribute_sharded(QUESTION, store, executor)
        states = extract_sharded(STATES, store, executor)
    assert bytes_of(scored) == bytes_of(attribute_sharded(QUESTION, alone[0], local))
    assert bytes_of(scored) == bytes_of(alone[0].get(TOP.attribution))
    assert bytes_of(states) == bytes_of(extract_sharded(STATES, alone[0], local))
