from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint.errors import ConfigError
from imprint.interventions.data import category_matched_rows, random_rows, value_matched_rows
from imprint.interventions.data.controls import _nearest_free

POOL = np.arange(200)
TREATED = np.arange(0, 200, 10)


@st.composite
def pools(draw):
    size = draw(st.integers(4, 40))
    treated = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size // 2, unique=True))
    return np.arange(size), np.array(sorted(treated))


@settings(max_examples=60, deadline=None)
@given(pools(), st.integers(0, 5))
def test_random_controls_are_disjoint_distinct_and_as_many(given_pool, seed):
    pool, treated = given_pool
    chosen = random_rows(treated, pool, seed=seed)
    assert len(chosen) == len(treated) == len(set(chosen))
    assert not set(chosen) & set(treated)
    assert set(chosen) <= set(pool)
    assert np.array_equal(chosen, np.sort(chosen))
    assert np.array_equal(random_rows(treated, pool, seed=seed), chosen)


def test_random_controls_are_uniform_over_the_untreated():
    times = Counter(row for seed in range(400) for row in random_rows(TREATED, POOL, seed=seed).tolist())
    assert set(times) == set(POOL) - set(TREATED)
    expected = 400 * 20 / 180
    assert max(abs(count - expected) for count in times.values()) < 5 * expected**0.5


def test_treated_rows_can_be_let_in():
    chosen = random_rows(np.arange(180), POOL, seed=0, exclude_treated=False)
    assert len(set(chosen)) == 180
    assert set(chosen) & set(range(180))


@settings(max_examples=60, deadline=None)
@given(pools(), st.integers(0, 5), st.integers(1, 4))
def test_value_matched_controls_are_disjoint_distinct_and_as_many(given_pool, seed, levels):
    pool, treated = given_pool
    values = np.random.default_rng(seed).integers(0, levels, len(pool)).astype(np.float64)
    chosen = value_matched_rows(treated, pool, values, seed=seed)
    assert len(chosen) == len(treated) == len(set(chosen))
    assert not set(chosen) & set(treated)
    assert np.array_equal(value_matched_rows(treated, pool, values, seed=seed), chosen)


def test_one_row_takes_its_nearest_value_not_the_next_rank():
    values = np.array([0.1, 0.0, 10.0, 9.0])
    assert value_matched_rows(np.array([0]), np.arange(4), values, seed=0).tolist() == [1]
    values[0] = 9.4
    assert value_matched_rows(np.array([0]), np.arange(4), values, seed=0).tolist() == [3]
    values[0] = 99.0
    assert value_matched_rows(np.array([0]), np.arange(4), values, seed=0).tolist() == [2]


def test_matched_controls_have_the_treated_distribution():
    values = np.random.default_rng(0).exponential(size=2000)
    treated = np.argsort(values)[-400:][::2]  # high values, half of them free
    matched = value_matched_rows(treated, np.arange(2000), values, seed=0)
    random = random_rows(treated, np.arange(2000), seed=0)
    assert abs(values[matched].mean() - values[treated].mean()) < 0.05 * values[treated].std()
    assert values[treated].mean() - values[random].mean() > 1


def test_rows_of_equal_value_are_chosen_at_random():
    values = np.zeros(200)
    times = Counter(row for seed in range(400) for row in value_matched_rows(TREATED, POOL, values, seed=seed).tolist())
    expected = 400 * 20 / 180
    assert set(times) == set(POOL) - set(TREATED)
    assert max(abs(count - expected) for count in times.values()) < 5 * expected**0.5


def brute_force(wanted, offered):
    """Each wish in turn takes the free value nearest to it, the larger of two equally near, the first of equals."""
    free, chosen = list(range(len(offered))), []
    for wish in wanted:
        best = min(free, key=lambda index: (abs(offered[index] - wish), offered[index] < wish))
        chosen.append(best)
        free.remove(best)
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nearest_free_value_is_that_of_brute_force(data):
    offered = np.sort(np.array(data.draw(st.lists(st.integers(-20, 20), min_size=1, max_size=25)), dtype=np.float64))
    wanted = np.array(data.draw(st.lists(st.integers(-25, 25), max_size=len(offered))), dtype=np.float64)
    chosen = _nearest_free(wanted, offered)
    assert len(set(chosen.tolist())) == len(wanted)
    assert offered[chosen].tolist() == offered[brute_force(wanted, offered)].tolist()


def test_many_matches_are_quick():
    values = np.zeros(60_000)
    chosen = value_matched_rows(np.arange(30_000), np.arange(60_000), values, seed=0)
    assert np.array_equal(chosen, np.arange(30_000, 60_000))


@settings(max_examples=60, deadline=None)
@given(pools(), st.integers(0, 5))
def test_category_matched_controls_have_the_treated_counts_as_far_as_there_are_rows(given_pool, seed):
    pool, treated = given_pool
    categories = np.array(["code", "prose", "html"])[np.random.default_rng(seed).integers(0, 3, len(pool))]
    untreated = np.setdiff1d(pool, treated)
    asked, free = Counter(categories[treated]), Counter(categories[untreated])
    expected = {name: min(count, free[name]) for name, count in asked.items() if free[name]}
    if not expected:
        with pytest.raises(ConfigError, match="category-matched control needs 1 untreated rows but only 0"):
            category_matched_rows(treated, pool, categories, seed=seed)
        return
    chosen = category_matched_rows(treated, pool, categories, seed=seed)
    assert dict(Counter(categories[chosen])) == expected
    assert len(set(chosen)) == len(chosen)
    assert not set(chosen) & set(treated)
    assert np.array_equal(category_matched_rows(treated, pool, categories, seed=seed), chosen)
    assert chosen.dtype == treated.dtype


def test_seeds_choose_other_controls():
    categories = np.array(["a", "b"])[POOL % 2]
    for kind in (
        lambda seed: random_rows(TREATED, POOL, seed=seed),
        lambda seed: category_matched_rows(TREATED, POOL, categories, seed=seed),
        lambda seed: value_matched_rows(TREATED, POOL, np.zeros(200), seed=seed),
    ):
        assert not np.array_equal(kind(0), kind(1))


def test_too_few_untreated_rows():
    treated = np.arange(150)
    with pytest.raises(
        ConfigError, match="random control needs 150 untreated rows but only 50 are left; treat a smaller"
    ):
        random_rows(treated, POOL, seed=0)
    with pytest.raises(ConfigError, match="value-matched control needs 150"):
        value_matched_rows(treated, POOL, np.zeros(200), seed=0)


def test_only_the_pool_is_drawn_from():
    pool = np.arange(100, 140)
    assert set(random_rows(TREATED, pool, seed=0)) <= set(pool)
    assert set(value_matched_rows(TREATED, pool, np.arange(200.0), seed=0)) <= set(pool)
