from itertools import pairwise

import numpy as np
import pytest
from tiny_runs import ARCHITECTURES, QUICK

from imprint.corpus import PlantedWorld, ShuffledStream, WorldRows
from imprint.errors import ComponentNotFound
from imprint.models import (
    Activations,
    ActivationShard,
    ActivationStore,
    JoinedActivations,
    Train,
    capture_plan,
    extract_sharded,
    extraction,
)
from imprint.runs import LocalExecutor, Store
from tiny_studies import quick_keys

ROWS = WorldRows(world=PlantedWorld(vocabulary=19, context=12, bos=True), rows=40)
__all__ = ["quick_keys"]
SITES = ("L0.resid_post", "L1.H1")
ALONE = LocalExecutor(workers=1)


def activations(**changes):
    run = Train(
        architecture=ARCHITECTURES["gpt_neox"],
        optimisation=QUICK,
        packed=ROWS,
        stream=ShuffledStream(packed=ROWS, steps=4, batch=4, seed=3),
        seed=5,
        checkpoint_every=4,
        last_step=4,
    )
    return Activations(**{"packed": ROWS, "model": run, "sites": SITES, "batch_tokens": 50, **changes})


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(capture_plan, "PART_TOKENS", 40)
    monkeypatch.setattr(extraction, "PART_TOKENS", 33)
    monkeypatch.setattr(extraction, "PARTS_OF_A_SHARD", 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def arrays_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.npy")}


@pytest.mark.parametrize("changes", [{}, {"skip": 0}, {"skip": 3, "step": 0}])
def test_shards_joined_are_the_capture_in_one_piece_to_the_byte(store, changes):
    wanted, done = activations(**changes), []
    found = extract_sharded(wanted, store, ALONE)
    whole = store.get(wanted, advance=done.append)
    assert arrays_of(found) == arrays_of(whole)
    assert set(arrays_of(found)) == {*(f"{site}.npy" for site in SITES), "row.npy", "position.npy", "token_id.npy"}
    one, other = ActivationStore.open(found), ActivationStore.open(whole)
    assert (one.sites, one.num_tokens, one.widths) == (other.sites, other.num_tokens, other.widths)
    assert store.verify() == []


def test_there_are_several_shards_and_none_is_empty(store):
    wanted = activations(sites=SITES[:1])
    extract_sharded(wanted, store, ALONE)
    shards = [one for one in store.list() if one.step.endswith("ActivationShard")]
    ranges = sorted(
        (one.manifest.recipe["fields"]["first"], one.manifest.recipe["fields"]["last"])
        for one in shards
        if one.manifest.recipe["fields"]["sites"] == [SITES[0]]
    )
    assert len(ranges) > 2
    assert (ranges[0][0], ranges[-1][1]) == (0, 40)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))


def test_rows_that_store_nothing_make_no_shard():
    lengths = np.array([41] * 3 + [1] * 5)
    plan = capture_plan.CapturePlan.of(np.zeros((8, 41), dtype=np.int64), lengths, 1)
    assert list(extraction._shards(plan)) == [(0, 8)]
    kept = np.maximum(lengths - 1, 0)
    cut = np.concatenate([[0], np.cumsum(kept)])
    assert [int(cut[last] - cut[first]) for first, last in extraction._shards(plan)] == [120]


def test_shards_joined_in_another_order_are_other_activations(store):
    wanted = activations()
    whole = arrays_of(extract_sharded(wanted, store, ALONE))
    fields = {name: getattr(wanted, name) for name in type(wanted).model_fields}
    halves = [ActivationShard.model_validate({**fields, "first": a, "last": b}) for a, b in ((20, 40), (0, 20))]
    turned = arrays_of(store.get(JoinedActivations(shards=tuple(halves))))
    assert turned["row.npy"] != whole["row.npy"]
    assert sorted(turned["row.npy"]) == sorted(whole["row.npy"])


def test_a_site_that_the_model_lacks_says_so(store):
    with pytest.raises(ComponentNotFound):
        extract_sharded(activations(sites=("L7.resid_post",)), store, ALONE)
