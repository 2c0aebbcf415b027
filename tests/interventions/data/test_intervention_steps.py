import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from imprint.corpus import JoinedPacked, Packed, PlantedWorld, ShuffledStream, Stream, WorldRows
from imprint.errors import ConfigError
from imprint.interventions.data import ROWS_FILE, ControlRows, EditedStream, PartRows, load_rows
from imprint.runs import Context, Step, Store

SHARES = {"prose": 0.5, "novel repeats": 0.3, "noise": 0.2}
ROWS = WorldRows(world=PlantedWorld(vocabulary=16, context=16, shares=SHARES), rows=60, seed=1)
BASE = ShuffledStream(packed=ROWS, steps=12, batch=10, seed=0)


class GivenRows(Step):
    """Rows written down by hand, beside a loss for each row of the corpus."""

    rows: tuple[int, ...]

    def execute(self, folder: Path, context: Context) -> None:
        np.save(folder / ROWS_FILE, np.array(self.rows))
        np.save(folder / "losses.npy", np.arange(60, dtype=np.float64) % 30)


TREATED = GivenRows(rows=(3, 4, 10, 31, 40, 59))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def control(kind, treated=TREATED, **changes):
    fields = {"treated": treated, "packed": ROWS, "kind": kind, "values": TREATED, "seed": 0}
    return ControlRows(**fields | changes)


@pytest.mark.parametrize("kind", ["random", "loss", "length", "domain"])
def test_controls_are_untreated_and_as_many(store, kind):
    folder = store.get(control(kind))
    rows = load_rows(folder)
    assert {path.name for path in folder.iterdir()} == {ROWS_FILE, "manifest.json"}
    assert len(set(rows)) == 6
    assert not set(rows) & set(TREATED.rows)
    assert rows.dtype == np.int64
    if kind != "loss":  # where every treated row has a twin there is nothing to draw
        assert not np.array_equal(rows, load_rows(store.get(control(kind, seed=5))))


def test_loss_control_has_the_treated_losses(store):
    """The losses are row % 30, so every treated row but the pair 10 and 40 has exactly one twin."""
    rows = load_rows(store.get(control("loss")))
    assert {33, 34, 1, 29} <= set(rows)
    twins = sorted(row % 30 for row in set(rows) - {33, 34, 1, 29})
    assert twins in ([9, 11], [9, 9], [11, 11])


def test_domain_control_has_the_treated_domains(store):
    domains = Packed.load(store.get(ROWS)).row_domains
    rows = load_rows(store.get(control("domain")))
    assert Counter(domains[rows]) == Counter(domains[list(TREATED.rows)])


def test_control_that_is_smaller_is_warned_of(store):
    domains = Packed.load(store.get(ROWS)).row_domains
    repeats = np.flatnonzero(domains == "novel repeats")
    prose = np.flatnonzero(domains == "prose")
    most = GivenRows(rows=(*repeats[:-2].tolist(), *prose[:2].tolist()))
    folder = store.get(control("domain", most))
    rows = load_rows(folder)
    assert Counter(domains[rows]) == {"novel repeats": 2, "prose": 2}
    (warning,) = json.loads((folder / "manifest.json").read_text())["warnings"]
    assert warning.startswith(f"the domain-matched control has 4 rows for {len(repeats)} treated ones")
    assert json.loads((store.get(control("domain")) / "manifest.json").read_text())["warnings"] == []


def test_loss_control_needs_losses():
    with pytest.raises(ValidationError, match="needs `values`, the step that holds every row's loss"):
        control("loss", values=None)
    with pytest.raises(ValidationError, match="kind"):
        control("weather")


def edited(kind, **changes):
    return EditedStream(**{"base": BASE, "rows": TREATED, "kind": kind, "first": 2, "last": 9, "seed": 0} | changes)


@pytest.fixture(scope="module")
def base(store):
    return Stream.load(store.get(BASE))


def presentations(stream, rows=TREATED.rows):
    return int(np.isin(stream.rows[2:9], rows).sum())


def test_delete_masks_in_the_window(store, base):
    found = Stream.load(store.get(edited("delete")))
    assert np.array_equal(found.rows, base.rows)
    assert (found.weights == 0).sum() == presentations(base) > 0
    assert set(found.rows[found.weights == 0]) <= set(TREATED.rows)
    assert (found.weights[:2] == 1).all()
    assert (found.weights[9:] == 1).all()


def test_replace_leaves_none_of_the_rows(store, base):
    found = Stream.load(store.get(edited("replace")))
    assert presentations(found) == 0
    assert (found.rows != base.rows).sum() == presentations(base)
    assert set(found.rows.ravel()) <= set(base.rows.ravel())


def test_duplicate_doubles_the_presentations(store, base):
    found = Stream.load(store.get(edited("duplicate")))
    assert presentations(found) == 2 * presentations(base)
    assert found.rows.shape == base.rows.shape


def test_duplicate_as_many_as_another_set_has(store, base):
    match = GivenRows(rows=(7, 8))
    found = Stream.load(store.get(edited("duplicate", match=match)))
    assert presentations(found) == presentations(base) + presentations(base, match.rows)


def test_additive_duplicate_is_longer(store, base):
    found = Stream.load(store.get(edited("duplicate", budget="additive")))
    assert found.steps == base.steps + -(-presentations(base) // 10)


@pytest.mark.parametrize("kind", ["delete", "replace", "duplicate"])
def test_same_recipe_gives_the_same_bytes_and_the_promised_files(store, tmp_path, kind):
    one, other = store.get(edited(kind)), Store(tmp_path).get(edited(kind))
    names = {"stream_rows.npy", "stream_weights.npy"}
    assert {path.name for path in one.iterdir()} == {*names, "manifest.json"}
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_seed_counts_where_something_is_drawn(store):
    for kind, differs in (("delete", False), ("replace", True), ("duplicate", True)):
        one, other = (Stream.load(store.get(edited(kind, seed=seed))) for seed in (0, 1))
        assert np.array_equal(one.rows, other.rows) != differs


def test_bad_edits(store):
    with pytest.raises(ConfigError, match=r"window 2\.\.13 does not lie within the 12 steps"):
        store.get(edited("delete", last=13))
    with pytest.raises(ConfigError, match="none of the 1 rows occurs"):
        store.get(edited("delete", rows=GivenRows(rows=(77,))))
    with pytest.raises(ConfigError, match="nothing to insert"):
        store.get(edited("duplicate", match=GivenRows(rows=(77,))))
    with pytest.raises(ConfigError, match="replaced by 0 rows"):
        store.get(edited("replace", rows=GivenRows(rows=tuple(range(60)))))
    with pytest.raises(ValidationError, match="kind"):
        edited("shuffle")


def test_inserted_rows_take_their_share_of_the_window(store):
    other = WorldRows(world=ROWS.world, rows=7, seed=2)
    joined = JoinedPacked(parts=(ROWS, other))
    rows = PartRows(joined=joined, part=1)
    assert load_rows(store.get(rows)).tolist() == list(range(60, 67))
    whole = Packed.load(store.get(joined))
    assert np.array_equal(whole.tokens[60:], Packed.load(store.get(other)).tokens)
    edited = EditedStream(base=BASE, rows=rows, kind="duplicate", share=0.25, first=4, last=12, seed=0)
    shown = Stream.load(store.get(edited))
    inserted = np.isin(shown.rows, np.arange(60, 67))
    assert inserted.sum() == inserted[4:12].sum() == 20
    assert (np.bincount(shown.rows[inserted])[60:] >= 2).all()  # every row comes about equally often
    before = Stream.load(store.get(BASE))
    assert np.array_equal(shown.rows[~inserted], before.rows[~inserted])
    assert shown.steps == before.steps
