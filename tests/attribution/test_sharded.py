import numpy as np
import pytest
from pydantic import ValidationError

from imprint.attribution import (
    Attribution,
    EkfacOptions,
    HeadOfModel,
    HeadOfRun,
    Scores,
    attribute_sharded,
    influence,
    sharded,
)
from imprint.attribution.engine import head_subspace, shards
from imprint.attribution.head import head_queries
from imprint.attribution.sharded import HeadCurvature, ScoredShard, ShardedAttribution
from imprint.corpus import Packed, PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ComponentNotFound
from imprint.mechanisms.steps import ProbeOptions
from imprint.models import Architecture, Train, open_checkpoint
from imprint.runs import LocalExecutor, Store, derive
from tiny_studies import quick_keys

ROWS = WorldRows(world=PlantedWorld(vocabulary=16, context=16, shares={"prose": 0.6, "novel repeats": 0.4}), rows=50)
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 16, "vocab_size": 16}
RUN = Train(
    architecture=Architecture(config=SIZES | {"bos_token_id": 0, "eos_token_id": 0}),
    packed=ROWS,
    stream=ShuffledStream(packed=ROWS, steps=4, batch=16, seed=0),
    seed=0,
    checkpoint_every=4,
    last_step=4,
)
__all__ = ["quick_keys"]
PROBE = ProbeOptions(alphabet=tuple(range(16)), rows=8, bos=None)
ALONE = LocalExecutor(workers=1)


def question(**changes):
    fields = {"run": RUN, "step": 4, "packed": ROWS, "head": "L1.H0", "probe": PROBE, "seed": 3}
    return HeadOfRun(**{**fields, **changes})


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


class Bar:
    def __init__(self):
        self.totals, self.done = {}, {}

    def stage(self, name, total):
        self.totals[name], self.done[name] = total, 0
        return self._Stage(self, name)

    class _Stage:
        def __init__(self, bar, name):
            self.bar, self.name = bar, name

        def __enter__(self):
            return self.advance

        def __exit__(self, *_):
            return None

        def advance(self, units):
            self.bar.done[self.name] += units

    def message(self, text):
        raise AssertionError(text)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Seventeen tokens a row: shards of twenty rows."""
    monkeypatch.setattr(shards, "SHARD_TOKENS", 20 * 17)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mechanism": "previous_token", "head": "L0.H1", "parts": "qk"},
        {"options": EkfacOptions(max_rows=20, token_energy=0.9, damping_sweep=(0.5,))},
    ],
)
def test_shards_joined_are_the_attribution_in_one_piece_to_the_byte(store, changes):
    asked = question(**changes)
    found = attribute_sharded(asked, store, ALONE)
    fields = {name: getattr(asked, name) for name in HeadOfRun.model_fields}
    whole = store.get(Attribution(**fields))
    assert files_of(found) == files_of(whole)
    assert set(files_of(found)) == {"scores.npy", "token_scores.npy", "scores.json", "losses.npy", "baselines.npy"}
    assert store.verify() == []


def test_every_row_is_in_one_shard_and_each_shard_is_a_result(store):
    bar = Bar()
    found = attribute_sharded(question(seed=5), store, ALONE, progress=bar)
    fields = [entry.manifest.recipe["fields"] for entry in store.list() if entry.step.endswith("ScoredShard")]
    mine = [one for one in fields if one["curvature"]["fields"]["question"]["fields"]["seed"] == 5]
    assert sorted((one["first"], one["last"]) for one in mine) == [(0, 20), (20, 40), (40, 50)]
    assert bar.done == bar.totals
    assert list(bar.totals) == ["curvature of L1.H0", "influence of every row", "join the shards"]
    assert Scores.load(found).rows.shape == (6, 50)


def test_the_scores_are_those_of_influence_in_memory(store):
    packed = Packed.load(store.get(ROWS))
    model = open_checkpoint(store.get(RUN), 4)
    asked = question()
    scores, _ = influence(
        model,
        head_subspace(model, "L1.H0", "qkvo"),
        head_queries(PROBE.build(packed.context)[0], "L1.H0", "qkvo", "induction", mutant=False),
        sharded.torch.from_numpy(packed.tokens),
        sharded.torch.from_numpy(packed.lengths.astype(np.int64)),
        EkfacOptions(),
        seed=derive(3, "labels"),
    )
    found = Scores.load(attribute_sharded(asked, store, ALONE))
    np.testing.assert_allclose(found.rows, scores.rows, rtol=1e-6, atol=1e-6 * np.abs(scores.rows).max())
    other = Scores.load(attribute_sharded(question(head="L1.H1"), store, ALONE))
    assert np.abs(other.rows - scores.rows).max() > 0.01 * np.abs(scores.rows).max()


def test_a_shard_of_other_rows_gives_other_scores(store):
    """The mutation that must break it: shards joined in another order are refused or change the scores."""
    asked = question()
    whole = files_of(attribute_sharded(asked, store, ALONE))
    curvature = HeadCurvature(question=asked)
    shifted = [ScoredShard(curvature=curvature, first=first, last=first + 20) for first in (20, 0)]
    last = ScoredShard(curvature=curvature, first=40, last=50)
    joined = files_of(store.get(ShardedAttribution(curvature=curvature, shards=(*shifted, last))))
    assert joined["scores.npy"] != whole["scores.npy"]


def test_wrong_questions(store):
    with pytest.raises(ComponentNotFound, match="heads 0 to 1"):
        attribute_sharded(question(head="L1.H5"), store, ALONE)
    with pytest.raises(ValidationError, match="shards"):
        ShardedAttribution(curvature=HeadCurvature(question=question()), shards=())
    with pytest.raises(ValidationError, match="probe_rows"):
        HeadOfModel(model="x", packed=ROWS, head="L0.H0", probe_rows=2)
