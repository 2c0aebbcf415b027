import numpy as np
import pytest

from imprint.attribution.validation import half_subsets, small_drops
from imprint.errors import ConfigError


def test_sizes_and_settings():
    halves, drops = half_subsets(21, 30, seed=0), small_drops(21, 30, dropped=2, seed=0)
    assert set(halves.kept.sum(1)) == {11}
    assert set(drops.kept.sum(1)) == {19}
    assert (halves.setting, drops.setting) == ("half", "small drop")
    assert (len(halves), halves.rows) == (30, 21)


def test_dropped_rows_are_those_not_kept():
    drops = small_drops(50, 4, dropped=3, seed=0)
    for rows, kept in zip(drops.dropped, drops.kept, strict=True):
        assert list(rows) == sorted(set(range(50)) - set(np.flatnonzero(kept)))


def test_the_same_seed_gives_the_same_subsets_and_more_begin_with_fewer():
    assert np.array_equal(half_subsets(30, 5, seed=1).kept, half_subsets(30, 9, seed=1).kept[:5])
    assert not np.array_equal(half_subsets(30, 5, seed=1).kept, half_subsets(30, 5, seed=2).kept)


def test_every_row_is_dropped_equally_often():
    shares = half_subsets(40, 2000, seed=0).kept.mean(0)
    assert np.abs(shares - 0.5).max() < 0.05


@pytest.mark.parametrize(("rows", "count", "dropped"), [(10, 0, 1), (10, 3, 0), (10, 3, 6), (1, 3, 1)])
def test_impossible_designs_are_refused(rows, count, dropped):
    with pytest.raises(ConfigError, match="leave out 1 to half"):
        small_drops(rows, count, dropped=dropped, seed=0)
