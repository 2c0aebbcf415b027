import numpy as np
import pytest

from imprint.corpus import motifs
from imprint.errors import ConfigError


def period_of(row: np.ndarray) -> int:
    """Smallest shift under which the row repeats."""
    return next(shift for shift in range(1, len(row) + 1) if (row[shift:] == row[: len(row) - shift]).all())


def test_fresh_repeats_repeat_with_every_period_from_six_to_half():
    rows = motifs.fresh_repeats(np.random.default_rng(0), rows=3000, length=40, symbols=64)
    periods = np.array([period_of(row) for row in rows])
    counts = np.bincount(periods, minlength=21)
    assert set(periods) == set(range(6, 21))
    expected = 3000 / 15
    assert ((counts[6:] - expected) ** 2 / expected).sum() < 36.1  # chi-square, 14 degrees of freedom, p = .001


def test_fresh_repeats_never_share_a_segment():
    rows = motifs.fresh_repeats(np.random.default_rng(0), rows=2000, length=40, symbols=64)
    assert len({tuple(row[:6]) for row in rows}) == 2000


def test_a_fixed_period_is_the_mutation():
    rows = motifs.fresh_repeats(np.random.default_rng(0), rows=200, length=65, symbols=64, period=33)
    assert (rows[:, 33:] == rows[:, :-33]).all()
    assert (rows[:, 32:] == rows[:, :-32]).mean() < 0.05


def test_tiled_uses_few_segments_from_any_place():
    segments = motifs.fixed_segments(count=8, length=64, symbols=64, seed=1)
    assert [len(segment) for segment in segments] == [6, 9, 12, 15, 18, 21, 24, 27]
    rows = motifs.tiled(np.random.default_rng(0), segments, rows=3000, length=64)
    assert len({tuple(row) for row in rows}) == sum(range(6, 28, 3))  # every segment at every offset
    endless = ["".join(map(chr, np.tile(segment, 12))) for segment in segments]
    assert all(any("".join(map(chr, row)) in text for text in endless) for row in rows[:100])


def test_fixed_segments_depend_on_the_seed_alone():
    first, again, other = (motifs.fixed_segments(count=3, length=64, symbols=64, seed=seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all((a == b).all() for a, b in zip(first, other, strict=True))
    assert max(len(segment) for segment in motifs.fixed_segments(count=8, length=20, symbols=9, seed=0)) == 10


def test_uniform_is_uniform():
    rows = motifs.uniform(np.random.default_rng(0), rows=1000, length=64, symbols=64)
    counts = np.bincount(rows.ravel(), minlength=64)
    assert ((counts - 1000) ** 2 / 1000).sum() < 103.4  # chi-square, 63 degrees of freedom, p = .001


@pytest.mark.parametrize("length", [0, 11])
def test_too_short_to_repeat(length):
    with pytest.raises(ConfigError, match=f"length={length} is too short"):
        motifs.fresh_repeats(np.random.default_rng(0), rows=1, length=length, symbols=64)
    with pytest.raises(ConfigError, match="boilerplate needs length"):
        motifs.fixed_segments(count=1, length=length, symbols=64, seed=0)
