"""Conditions shuffled within shared seeds: what blocks do drops out, and the level holds."""

import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats import Nest, blocked_permutation, condition_permutation


def nest(table, **changes):
    conditions, seeds = np.indices(table.shape).reshape(2, -1)
    return Nest(**{"values": table.ravel(), "conditions": conditions, "pipelines": seeds} | changes)


def test_two_conditions_of_three_seeds_by_hand():
    found = blocked_permutation(nest(np.array([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]])), seed=0)
    assert found.p == pytest.approx(2 / 8, abs=0.01), "of 8 sign patterns two are as large"
    assert found.smallest_p == pytest.approx(1 / 4)


def test_what_a_seed_does_to_all_conditions_changes_nothing():
    table = np.random.default_rng(0).standard_normal((5, 4))
    shifted = table + 100 * np.arange(4)
    assert blocked_permutation(nest(table), seed=0).p == blocked_permutation(nest(shifted), seed=0).p
    assert condition_permutation(nest(shifted), seed=0).p > 0.5, (
        "the mutation: without blocks the seeds drown everything"
    )


def test_the_level_holds_with_strong_blocks():
    rng = np.random.default_rng(3)
    worlds = [rng.standard_normal((5, 4)) + 3 * rng.standard_normal(4) for _ in range(200)]
    hits = sum(blocked_permutation(nest(world), seed=0, draws=400).p <= 0.05 for world in worlds)
    assert 2 <= hits <= 20


def test_seeds_that_are_not_shared_are_refused():
    table = np.zeros((3, 2)) + np.arange(6).reshape(3, 2)
    with pytest.raises(InputError, match="same seeds"):
        blocked_permutation(nest(table, pipelines=np.arange(6)), seed=0)
