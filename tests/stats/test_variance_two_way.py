import json
from dataclasses import replace

import numpy as np
import pytest
from coupling_matrix import ALIGNMENT, nest_of

from imprint.errors import InputError
from imprint.stats import Nest, Undefined, one_way, two_way

RATINGS = np.array([[9.0, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
"""Shrout and Fleiss 1979, table 2: six targets, four judges."""


def crossed(table):
    rows, columns = np.indices(table.shape)
    return Nest(values=table.ravel(), conditions=rows.ravel(), pipelines=columns.ravel())


def test_published_seed_block():
    found = two_way(nest_of(ALIGNMENT))
    assert (found.condition.statistic, found.condition.p) == pytest.approx((1.07, 0.43), abs=0.005)
    assert (found.block.statistic, found.block.p) == pytest.approx((5.95, 0.026), abs=0.005)
    json.dumps(found.as_dict(), allow_nan=False)


def test_shrout_and_fleiss():
    found = two_way(crossed(RATINGS))
    for effect, value, low, high in (
        (one_way(crossed(RATINGS)).icc, 0.17, -0.13, 0.72),
        (found.icc_random, 0.29, 0.02, 0.76),
        (found.icc_mixed, 0.71, 0.34, 0.95),
    ):
        assert (effect.estimate, effect.low, effect.high) == pytest.approx((value, low, high), abs=0.006)


def test_components_by_hand():
    found = two_way(crossed(RATINGS))  # mean squares 11.24, 32.49, 1.02 in the paper
    assert found.condition_variance.estimate == pytest.approx((11.24 - 1.02) / 4, abs=0.01)
    assert found.block_variance.estimate == pytest.approx((32.49 - 1.02) / 6, abs=0.01)
    assert found.residual_variance.estimate == pytest.approx(1.02, abs=0.005)


def test_a_shift_of_one_seed_block_leaves_the_condition_alone():
    shifted = RATINGS + np.array([0, 50, 0, -20])
    before, after = two_way(crossed(RATINGS)), two_way(crossed(shifted))
    assert after.condition.p == pytest.approx(before.condition.p)
    assert after.icc_mixed.estimate == pytest.approx(before.icc_mixed.estimate)
    assert after.icc_random.estimate < 0.05 < before.icc_random.estimate  # random blocks count as noise
    assert one_way(crossed(shifted)).f.p > 0.9  # the mutation: without the block the condition drowns


def test_null_rates():
    rng = np.random.default_rng(0)
    p = [two_way(crossed(rng.standard_normal((5, 3)) + 3 * rng.standard_normal(3))).condition.p for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_refuses_seeds_that_are_not_shared():
    nest = crossed(RATINGS)
    with pytest.raises(InputError, match="run the same seeds"):
        two_way(replace(nest, pipelines=np.arange(24)))
    with pytest.raises(InputError, match="run the same seeds"):
        two_way(Nest(values=nest.values[1:], conditions=nest.conditions[1:], pipelines=nest.pipelines[1:]))


def test_additive_table_is_undefined():
    found = two_way(crossed(np.add.outer([0.0, 1, 2], [0.0, 5])))
    assert isinstance(found.condition, Undefined)
    assert isinstance(found.icc_mixed, Undefined)
    assert isinstance(found.icc_random, Undefined)
