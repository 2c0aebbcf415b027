import json

import numpy as np
import pytest
import torch
from stage_runs import ROWS, chats, pipeline, save_base, value

from imprint.attribution.stages import (
    REPLAY_TOLERANCE,
    NamedRows,
    RandomPart,
    StageMetagradient,
    StageScores,
    WithoutRows,
    chain,
    edited,
    order_of,
    row_names,
    stage_back,
    without,
)
from imprint.corpus import PlantedWorld, Stream, WorldRows
from imprint.errors import ConfigError
from imprint.interventions.data import EditedStream, load_rows
from imprint.models import open_checkpoint
from imprint.models.finetuning import SupervisedTuning, TuningOrder
from imprint.runs import Store


@pytest.fixture(scope="module")
def place(quick, tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def store(place):
    return Store(place / "store")


@pytest.fixture(scope="module")
def stages(place):
    return pipeline(place)


def test_the_stages_in_their_order(stages):
    final, _ = stages
    first, second, third = chain(final)
    assert third is final
    assert (second, first) == (final.start, final.start.start)
    assert [stage_back(final, back) for back in range(3)] == [third, second, first]
    for back in (-1, 3):
        with pytest.raises(ConfigError, match=f"back={back} names no stage of a pipeline of 3; give 0 .* to 2"):
            stage_back(final, back)
        with pytest.raises(ConfigError, match="names no stage"):
            edited(final, back, order_of(final))


@pytest.mark.parametrize("back", [0, 1, 2])
def test_an_edit_shares_what_comes_before_it_and_changes_what_comes_after(stages, back):
    final, _ = stages
    other = without(final, back, NamedRows(rows=stage_back(final, back).rows, names=("any",)))
    pairs = [*zip(chain(final), chain(other), strict=True)]
    assert [one.key == two.key for one, two in pairs] == [number < 2 - back for number in range(3)]
    assert [one.stream == two.stream for one, two in pairs] == [number != 2 - back for number in range(3)]
    for one, two in pairs:
        assert one.model_copy(update={"start": two.start, "stream": two.stream}) == two


def test_the_order_that_a_stage_draws_is_the_order_that_it_is_given(store, stages):
    final, outcome = stages
    usual = edited(final, 2, order_of(stage_back(final, 2)))
    assert usual.key != final.key
    assert value(store, usual, outcome) == value(store, final, outcome)
    assert order_of(stage_back(usual, 2)) == order_of(stage_back(final, 2))


def test_rows_left_out_have_weight_zero_and_all_else_stays(store, stages):
    first = stage_back(stages[0], 2)
    order, rows = order_of(first), NamedRows(rows=first.rows, names=("mid7", "mid2"))
    before, after = Stream.load(store.get(order)), Stream.load(store.get(WithoutRows(order=order, left_out=rows)))
    assert load_rows(store.get(rows)).tolist() == [2, 7]
    np.testing.assert_array_equal(after.rows, before.rows)
    np.testing.assert_array_equal(after.weights, np.where(np.isin(before.rows, [2, 7]), 0, 1))
    usual = EditedStream(base=order, rows=rows, kind="delete", first=0, last=6, seed=0)
    np.testing.assert_array_equal(after.weights, Stream.load(store.get(usual)).weights)


def test_the_denominator_still_counts_a_row_that_is_left_out(store, stages):
    """So the losses of the first batch with it and without it differ by its own part."""
    first = stage_back(stages[0], 2)
    batch = Stream.load(store.get(order_of(first))).rows[0].astype(np.int64)
    name = NamedRows(rows=first.rows, names=(f"mid{batch[0]}",))
    losses = [np.load(store.get(stage) / "losses.npy")[0] for stage in (first, without(first, 0, name))]
    model = open_checkpoint(store.get(first), 0)
    objective = first.objective(model, store.get(first.rows))
    own = objective.losses(model, torch.from_numpy(batch[:1])).item()
    assert losses[0] - losses[1] == pytest.approx(own / objective.sizes[batch].sum().item(), rel=1e-4)


def test_rows_that_are_never_drawn_are_warned_of(store, stages):
    first = stage_back(stages[0], 2)
    short = TuningOrder(rows=first.rows, tuning=first.tuning.model_copy(update={"steps": 1}), seed=1)
    never = sorted(set(range(ROWS)) - set(Stream.load(store.get(short)).rows.reshape(-1).tolist()))
    rows = NamedRows(rows=first.rows, names=tuple(f"mid{row}" for row in never))
    folder = store.get(WithoutRows(order=short, left_out=rows))
    [warning] = json.loads((folder / "manifest.json").read_text())["warnings"]
    assert warning == "5 of 5 rows to leave out are never drawn: without them nothing changes"
    assert (Stream.load(folder).weights == 1).all()


def test_a_name_that_no_row_has(store, stages):
    with pytest.raises(ConfigError, match="the stage has no row called 'end0'; its 10 rows are called 'mid0'"):
        store.get(NamedRows(rows=stage_back(stages[0], 2).rows, names=("mid1", "end0")))


def test_names_of_every_kind_of_rows(store, stages, place):
    final, outcome = stages
    assert row_names(store.get(outcome)) == tuple(f"outcome{number}" for number in range(6))
    assert row_names(store.get(final.rows)) == tuple(f"end{number}" for number in range(6))
    packed = store.get(WorldRows(world=PlantedWorld(vocabulary=19, context=12, bos=True), rows=4))
    names = row_names(packed)
    assert len(set(names)) == 4
    assert all(name.endswith(f"#{row}") for row, name in enumerate(names))


def test_rows_from_both_ends_and_at_random(store, stages):
    ids = row_names(store.get(stage_back(stages[0], 2).rows))
    known = StageScores(ids=ids, values=np.arange(len(ids), dtype=np.float64), method="known", checks={})
    assert sorted(known.top(0.2)) == sorted(ids[8:10])
    assert sorted(known.bottom(0.2)) == sorted(ids[:2])
    assert known.random(0.2, 1) == known.random(0.2, 1)
    assert len({known.random(0.2, seed) for seed in range(6)}) > 2
    spared = ids[:7]
    assert all(not {*known.random(0.2, seed, without=spared)} & {*spared} for seed in range(20))
    assert any({*known.random(0.2, seed)} & {*spared} for seed in range(20)), "the mutation: nobody is spared"


def test_a_random_part_follows_its_seed_and_share(store, place):
    rows = chats(place, "many", 300)
    parts = [load_rows(store.get(RandomPart(rows=rows, share=0.3, seed=seed))) for seed in (1, 2)]
    assert not np.array_equal(*parts)
    for part in parts:
        assert len(part) / 300 == pytest.approx(0.3, abs=0.08)
        assert len(np.unique(part)) == len(part)


def test_a_run_in_single_precision_is_replayed_within_the_tolerance(store, stages):
    final, outcome = stages
    checks = StageScores.load(store.get(StageMetagradient(final=final, back=2, pairs=outcome))).checks
    assert 0 < max(checks.values()) < REPLAY_TOLERANCE


def test_a_pipeline_of_one_stage(store, place):
    only = SupervisedTuning(start=save_base(place / "alone"), rows=chats(place, "alone", 4), seed=0)
    assert chain(only) == (only,)
    assert without(only, 0, NamedRows(rows=only.rows, names=("alone1",))).stream is not None
