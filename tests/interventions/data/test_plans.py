import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.corpus import Stream, shuffled_stream
from imprint.errors import ConfigError
from imprint.interventions.data import delete, duplicate, occurrences, replace

ROWS, STEPS, BATCH = 20, 12, 5


def stream(seed=0):
    return shuffled_stream(ROWS, steps=STEPS, batch=BATCH, seed=seed)


def copied(of):
    return Stream(rows=of.rows.copy(), weights=of.weights.copy())


@st.composite
def edits(draw):
    """A stream, some of its rows and a window in which at least one of them is shown."""
    whole = stream(draw(st.integers(0, 20)))
    first = draw(st.integers(0, STEPS - 1))
    last = draw(st.integers(first + 1, STEPS))
    shown = sorted(set(whole.rows[first:last].ravel().tolist()))
    rows = draw(st.lists(st.sampled_from(shown), min_size=1, max_size=6, unique=True))
    return whole, np.array(rows), (first, last)


def inside(window):
    mask = np.zeros((STEPS, BATCH), dtype=bool)
    mask[window[0] : window[1]] = True
    return mask


def test_occurrences_by_hand():
    whole = Stream(rows=np.array([[0, 1], [1, 2], [0, 0]], dtype=np.int32), weights=np.ones((3, 2), dtype=np.float32))
    assert occurrences(whole, np.array([0]), (0, 3)).tolist() == [[True, False], [False, False], [True, True]]
    assert occurrences(whole, np.array([0, 2]), (1, 3)).tolist() == [[False, False], [False, True], [True, True]]
    assert not occurrences(whole, np.array([0]), (1, 2)).any()


@settings(max_examples=60, deadline=None)
@given(edits())
def test_delete_masks_the_rows_in_the_window_and_nothing_else(edit):
    whole, rows, window = edit
    before = copied(whole)
    edited = delete(whole, rows, window)
    expected = inside(window) & np.isin(whole.rows, rows)
    assert np.array_equal(edited.weights == 0, expected)
    assert (edited.weights[~expected] == 1).all()
    assert np.array_equal(edited.rows, whole.rows)
    assert np.array_equal(before.weights, whole.weights)
    assert edited.weights.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(edits(), st.integers(0, 5))
def test_replace_keeps_shapes_and_leaves_the_rest(edit, seed):
    whole, rows, window = edit
    before = copied(whole)
    others = np.setdiff1d(np.arange(ROWS), rows)
    edited = replace(whole, rows, others, window, seed=seed)
    changed = inside(window) & np.isin(whole.rows, rows)
    assert edited.rows.shape == whole.rows.shape
    assert edited.rows.dtype == np.int32
    assert np.array_equal(edited.rows[~changed], whole.rows[~changed])
    assert np.isin(edited.rows[changed], others).all()
    assert np.array_equal(edited.weights, whole.weights)
    assert np.array_equal(before.rows, whole.rows)
    assert np.array_equal(replace(whole, rows, others, window, seed=seed).rows, edited.rows)


@settings(max_examples=60, deadline=None)
@given(edits(), st.integers(1, 30), st.integers(0, 5))
def test_constant_duplication_overwrites_other_rows_in_the_window(edit, presentations, seed):
    whole, rows, window = edit
    before = copied(whole)
    free = inside(window) & ~np.isin(whole.rows, rows)
    if presentations > free.sum():
        with pytest.raises(ConfigError, match="do not fit"):
            duplicate(whole, rows, window, presentations=presentations, budget="constant", seed=seed)
        return
    edited = duplicate(whole, rows, window, presentations=presentations, budget="constant", seed=seed)
    changed = edited.rows != whole.rows
    assert edited.rows.shape == whole.rows.shape
    assert changed.sum() == presentations
    assert (changed <= free).all()
    assert np.isin(edited.rows[changed], rows).all()
    shares = np.array([(edited.rows[changed] == row).sum() for row in rows])
    assert shares.max() - shares.min() <= 1  # each row is shown equally often
    assert np.array_equal(edited.weights, whole.weights)
    assert np.array_equal(before.rows, whole.rows)


@settings(max_examples=60, deadline=None)
@given(edits(), st.integers(1, 30), st.integers(0, 5))
def test_additive_duplication_lengthens_inside_the_window_and_drops_nothing(edit, presentations, seed):
    whole, rows, window = edit
    edited = duplicate(whole, rows, window, presentations=presentations, budget="additive", seed=seed)
    extra = -(-presentations // BATCH)
    assert edited.rows.shape == edited.weights.shape == (STEPS + extra, BATCH)
    assert np.array_equal(edited.rows[: window[0]], whole.rows[: window[0]])
    assert np.array_equal(edited.rows[window[1] + extra :], whole.rows[window[1] :])
    remaining, added = [*whole.rows.tolist()], []
    for line in edited.rows.tolist():
        if remaining and line == remaining[0]:
            remaining.pop(0)
        else:
            added.append(line)
    assert not remaining
    assert len(added) == extra
    assert np.isin(np.array(added), rows).all()
    shares = np.array([(np.array(added) == row).sum() for row in rows])
    assert shares.max() - shares.min() <= 1
    assert (edited.weights == 1).all()
    assert (edited.rows.dtype, edited.weights.dtype) == (np.int32, np.float32)


def test_additive_batches_spread_evenly_over_the_window():
    base = Stream(rows=np.zeros((12, 2), dtype=np.int32), weights=np.ones((12, 2), dtype=np.float32))
    edited = duplicate(base, np.array([7]), (4, 10), presentations=6, budget="additive", seed=0)
    assert np.flatnonzero((edited.rows == 7).all(1)).tolist() == [4, 7, 10]


def test_additive_weights_stay_with_their_rows():
    deleted = delete(stream(), np.array([3]), (0, STEPS))
    edited = duplicate(deleted, np.array([4]), (3, 8), presentations=7, budget="additive", seed=0)
    assert np.array_equal(np.unique(edited.rows[edited.weights == 0]), [3])
    assert (edited.weights == 0).sum() == (deleted.weights == 0).sum()


def test_masked_places_are_not_used_for_duplicates():
    """A presentation written where an earlier edit masked the loss would be seen by nobody."""
    deleted = delete(stream(), np.arange(10), (0, STEPS))
    edited = duplicate(deleted, np.array([15]), (0, STEPS), presentations=20, budget="constant", seed=0)
    written = edited.rows != deleted.rows
    assert written.sum() == 20
    assert (edited.weights[written] == 1).all()


def test_rows_never_shown_can_be_inserted():
    edited = duplicate(stream(), np.array([99]), (2, 5), presentations=6, budget="constant", seed=0)
    assert (edited.rows == 99).sum() == 6
    assert (edited.rows[2:5] == 99).sum() == 6


def test_seeds_choose_places_and_rows():
    one, again, other = (
        duplicate(stream(), np.array([1, 2]), (0, STEPS), presentations=8, budget="constant", seed=seed)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one.rows, again.rows)
    assert not np.array_equal(one.rows, other.rows)


def test_global_generator_is_untouched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    duplicate(stream(), np.array([1]), (0, STEPS), presentations=3, budget="additive", seed=0)
    replace(stream(), np.array([1]), np.array([2]), (0, STEPS), seed=0)
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("window", [(-1, 3), (3, 3), (5, 2), (0, STEPS + 1)])
def test_window_outside_the_stream(window):
    with pytest.raises(ConfigError, match=r"does not lie within the 12 steps"):
        delete(stream(), np.array([1]), window)
    with pytest.raises(ConfigError, match=r"does not lie within the 12 steps"):
        duplicate(stream(), np.array([1]), window, presentations=1, budget="additive", seed=0)


def test_edit_that_would_change_nothing():
    shown = set(stream().rows[:2].ravel().tolist())
    absent = np.array([row for row in range(ROWS) if row not in shown])
    with pytest.raises(ConfigError, match=r"none of the 10 rows occurs in steps 0\.\.2 of the stream"):
        delete(stream(), absent, (0, 2))
    with pytest.raises(ConfigError, match="would change nothing"):
        replace(stream(), absent, np.array(sorted(shown)), (0, 2), seed=0)
    with pytest.raises(ConfigError, match="none of the 0 rows"):
        delete(stream(), np.zeros(0, dtype=np.int64), (0, 2))


@pytest.mark.parametrize(("rows", "presentations"), [([1], 0), ([], 3)])
def test_nothing_to_insert(rows, presentations):
    with pytest.raises(ConfigError, match="nothing to insert"):
        duplicate(
            stream(),
            np.array(rows, dtype=np.int64),
            (0, 3),
            presentations=presentations,
            budget="constant",
            seed=0,
        )


@pytest.mark.parametrize(("by", "sentence"), [([], "replaced by 0 rows"), ([4, 1], "by 2 rows of which 1 are")])
def test_replacement_must_be_other_rows(by, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(stream(), np.array([1, 2]), np.array(by, dtype=np.int64), (0, STEPS), seed=0)
