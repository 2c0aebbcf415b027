"""When influential rows were shown: planted bins and batches are found, shuffled streams are even."""

import numpy as np
import pytest

from imprint.attribution import time_bins
from imprint.corpus import shuffled_stream
from imprint.errors import InputError

RNG = np.random.default_rng(0)
ROWS, STEPS, BATCH = 800, 100, 8
IN_ORDER = np.arange(ROWS, dtype=np.int32).reshape(STEPS, BATCH)
HEAVY = RNG.lognormal(size=ROWS)


def test_all_of_it_in_one_bin():
    scores = np.where((np.arange(ROWS) >= 240) & (np.arange(ROWS) < 320), 1.0, -1.0)
    found = time_bins(scores, IN_ORDER, first=0, last=STEPS)
    assert found.edges == tuple(range(0, 101, 10))
    assert found.shares == pytest.approx((0, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    assert found.high[3] < 0.3
    assert not found.even
    assert found.largest_batch == pytest.approx(0.1)  # of ten batches, each full of them


def test_all_of_it_in_one_batch():
    scores = np.where(np.arange(ROWS) // BATCH == 57, 1.0, 0.0)
    found = time_bins(scores, IN_ORDER, first=0, last=STEPS)
    assert (found.largest_batch, found.largest_batch_step) == (1.0, 57)
    assert found.magic_batch
    assert not found.even


def test_a_shuffled_stream_is_even():
    found = [
        time_bins(
            RNG.permutation(HEAVY),
            shuffled_stream(ROWS, steps=150, batch=BATCH, seed=seed).rows,
            first=0,
            last=150,
            draws=99,
        )
        for seed in range(20)
    ]
    assert sum(each.even for each in found) >= 16
    assert sum(each.magic_batch for each in found) <= 4
    inside = [
        low <= share <= high
        for each in found
        for low, share, high in zip(each.low, each.shares, each.high, strict=True)
    ]
    assert np.mean(inside) > 0.85


def test_shares_add_up_over_uneven_bins_and_count_each_presentation():
    shown = np.concatenate([IN_ORDER, IN_ORDER])
    found = time_bins(HEAVY, shown, first=13, last=130, bins=7, draws=20)
    assert sum(found.shares) == pytest.approx(1)
    assert (found.edges[0], found.edges[-1], len(found.shares)) == (13, 130, 7)
    assert found.presentations == 117 * BATCH
    rows = shown[found.edges[2] : found.edges[3]]
    assert found.shares[2] == pytest.approx(HEAVY[rows].sum() / HEAVY[shown[13:130]].sum())


def test_what_is_shown_with_weight_0_does_not_count():
    weights = np.ones((STEPS, BATCH), dtype=np.float32)
    weights[:50] = 0
    found = time_bins(HEAVY, IN_ORDER, first=0, last=STEPS, bins=2, weights=weights, draws=20)
    assert found.shares == (0, 1)
    assert found.presentations == 400


def test_negative_influence_does_not_count():
    scores = np.where(np.arange(ROWS) < 400, -5.0, 1.0)
    assert time_bins(scores, IN_ORDER, first=0, last=STEPS, bins=2, draws=20).shares == (0, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"last": 101}, "do not lie in a stream of 100 steps"),
        ({"first": 50, "last": 50}, "do not lie in a stream"),
        ({"bins": 101}, "101 bins do not fit into 100 steps"),
    ],
)
def test_windows_that_cannot_be(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        time_bins(HEAVY, IN_ORDER, **{"first": 0, "last": STEPS} | changes)


def test_scores_that_cannot_be_placed():
    with pytest.raises(InputError, match="shows row 799 but there are scores of 10 rows"):
        time_bins(HEAVY[:10], IN_ORDER, first=0, last=STEPS)
    with pytest.raises(InputError, match="no row with positive influence"):
        time_bins(-HEAVY, IN_ORDER, first=0, last=STEPS)
