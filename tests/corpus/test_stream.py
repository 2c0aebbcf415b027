import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint.corpus import Stream, shuffled_stream
from imprint.errors import ConfigError, CorpusError


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_each_epoch_is_a_permutation(rows, steps, batch, seed):
    stream = shuffled_stream(rows, steps=steps, batch=batch, seed=seed)
    assert (stream.steps, stream.batch) == (steps, batch)
    order = stream.rows.ravel()
    for start in range(0, len(order) - rows + 1, rows):
        assert sorted(order[start : start + rows]) == list(range(rows))
    assert len(set(order[len(order) // rows * rows :])) == len(order) % rows
    assert (stream.weights == 1).all()


def test_seed_decides_and_longer_streams_continue_shorter_ones():
    base = shuffled_stream(50, steps=9, batch=8, seed=0)
    assert (shuffled_stream(50, steps=9, batch=8, seed=0).rows == base.rows).all()
    assert (shuffled_stream(50, steps=9, batch=8, seed=1).rows != base.rows).any()
    assert (shuffled_stream(50, steps=20, batch=8, seed=0).rows[:9] == base.rows).all()


def test_epochs_differ():
    stream = shuffled_stream(100, steps=2, batch=100, seed=0)
    assert (stream.rows[0] != stream.rows[1]).mean() > 0.9


def test_known_order():
    assert shuffled_stream(5, steps=2, batch=5, seed=0).rows.tolist() == [[2, 4, 3, 0, 1], [4, 1, 2, 0, 3]]


def test_global_generator_is_untouched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    shuffled_stream(10, steps=3, batch=4, seed=0)
    assert (np.random.get_state()[1] == before).all()


def test_save_and_load(tmp_path):
    stream = shuffled_stream(7, steps=3, batch=4, seed=0)
    stream.weights[1, 2] = 0
    stream.save(tmp_path / "new")
    read = Stream.load(tmp_path / "new")
    assert (read.rows == stream.rows).all()
    assert (read.weights == stream.weights).all()
    (tmp_path / "new" / "stream_rows.npy").unlink()
    with pytest.raises(CorpusError, match="complete stream"):
        Stream.load(tmp_path / "new")


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 0}, {"steps": 0}, {"batch": 0}, {"seed": -1}, {"rows": 2**31}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_sizes_out_of_range(wrong):
    with pytest.raises(ConfigError, match="a stream needs"):
        shuffled_stream(**{"rows": 5, "steps": 1, "batch": 1, "seed": 0} | wrong)
