import itertools
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from coupling_matrix import ALIGNMENT, ARC_CHALLENGE, nest_of, nested_world

from imprint.errors import InputError
from imprint.stats import Nest, Undefined, condition_permutation, judge_range_ratio, range_ratio
from imprint.stats.condition_permutation import arrangements


def groups(*values):
    return Nest(
        values=np.concatenate([np.array(group, dtype=np.float64) for group in values]),
        conditions=np.repeat(np.arange(len(values)), [len(group) for group in values]),
        pipelines=np.concatenate([np.arange(len(group)) for group in values]),
    )


@pytest.mark.parametrize(("table", "p"), [(ALIGNMENT, 0.719), (ARC_CHALLENGE, 0.032)])
def test_published_table(table, p):
    found = condition_permutation(nest_of(table), seed=0)
    assert found.p == pytest.approx(p, abs=0.01)
    assert (found.exact, found.arrangements, found.pipelines) == (False, 1_401_400, 15)
    json.dumps(found.as_dict(), allow_nan=False)


def test_exact_equals_brute_force_over_all_labels():
    nest = groups([0.1, 0.9, 0.4], [1.2, 0.3], [0.8, 2.0])
    sizes, values = [3, 2, 2], nest.values

    def f(order):
        parts = np.split(values[list(order)], np.cumsum(sizes)[:-1])
        return sum(len(part) * (part.mean() - values.mean()) ** 2 for part in parts)  # grows with F: the total is fixed

    seen = f(range(7))
    expected = np.mean([f(order) >= seen * (1 - 1e-9) for order in itertools.permutations(range(7))])
    found = condition_permutation(nest, seed=0)
    assert (found.exact, found.arrangements) == (True, 105)
    assert found.p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sizes", "count"), [([2, 2], 3), ([3, 3], 10), ([3, 3, 3], 280), ([2, 3], 10), ([3, 1, 2, 3], 2520)]
)
def test_every_arrangement_once(sizes, count):
    assert arrangements(sizes) == count
    if min(sizes) > 1:
        parted = groups(*[100.0 * i + np.arange(size) ** 1.5 for i, size in enumerate(sizes)])
        found = condition_permutation(parted, seed=0)
        assert found.p == found.smallest_p == 1 / count  # groups far apart: the seen arrangement is the best of all


def test_monte_carlo_agrees_with_exact(monkeypatch):
    nest = nested_world(3, 3, 1, (1, 1, 0), seed=2)
    exact = condition_permutation(nest, seed=0)
    monkeypatch.setattr(sys.modules["imprint.stats.condition_permutation"], "EXACT_ARRANGEMENTS", 1)
    drawn = condition_permutation(nest, seed=0, draws=5000)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p == pytest.approx(exact.p, abs=0.025)
    assert drawn == condition_permutation(nest, seed=0, draws=5000)


def test_shift_scale_and_names_do_not_matter():
    nest = nested_world(3, 3, 2, (1, 1, 1), seed=3)
    for statistic in ("F", "range ratio"):
        expected = condition_permutation(nest, seed=0, statistic=statistic).p
        for other in (replace(nest, values=4 - 2 * nest.values), replace(nest, conditions=2 - nest.conditions)):
            assert condition_permutation(other, seed=0, statistic=statistic).p == pytest.approx(expected)


def test_type_one_error_and_power():
    null = [condition_permutation(nested_world(2, 4, 2, (0, 1, 1), seed), seed=0).p for seed in range(400)]
    assert np.mean(np.array(null) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(null) == pytest.approx(0.5, abs=0.06)
    far = [
        condition_permutation(replace(nest, values=nest.values + 4 * nest.conditions), seed=0).p
        for nest in (nested_world(2, 4, 2, (0, 1, 1), seed) for seed in range(50))
    ]
    assert np.mean(np.array(far) <= 0.05) > 0.8


def test_one_pipeline_a_condition_is_refused():
    for test in (condition_permutation, range_ratio):
        with pytest.raises(InputError, match="not independent evidence about conditions"):
            test(nested_world(5, 1, 10, (0, 1, 1), seed=0), seed=0)


def test_ratio_of_the_published_cells():
    found = range_ratio(nest_of(ALIGNMENT), seed=0)
    assert (found.ratio, found.permutation_p) == pytest.approx((1.38, 0.62), abs=0.01)
    arc = range_ratio(nest_of(ARC_CHALLENGE), seed=0)
    assert arc.ratio == pytest.approx(5.74, abs=0.01)
    assert arc.permutation_p == pytest.approx(0.003, abs=0.002)
    json.dumps(arc.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("pipelines", "median", "high", "p"), [(3, 1.57, 3.49, 0.48), (5, 1.10, 2.13, 0.18), (10, 0.74, 1.33, 0.012)]
)
def test_a_published_ratio_means_nothing_without_its_null(pipelines, median, high, p):
    found = judge_range_ratio(1.61, conditions=5, pipelines=pipelines, seed=0)
    assert found.null_median == pytest.approx(median, abs=0.02)
    assert found.null_95 == pytest.approx(high, rel=0.03)
    assert found.p == pytest.approx(p, abs=0.01)
    assert found.permutation_p is None


def test_pooled_null_is_the_studentized_range():
    found = judge_range_ratio(1.61, conditions=5, pipelines=3, seed=0, spread="pooled sd")
    rng = np.random.default_rng(0)
    worlds = rng.standard_normal((20_000, 5, 3))
    null = np.ptp(worlds.mean(2), axis=1) / np.sqrt(worlds.var(2, ddof=1).mean(1))
    assert found.p == pytest.approx((null >= 1.61).mean(), abs=0.012)
    assert found.null_median == pytest.approx(np.median(null), rel=0.02)
    assert found.null_95 == pytest.approx(np.quantile(null, 0.95), rel=0.03)


def test_ratio_refusals_and_no_spread():
    with pytest.raises(InputError, match="unequal numbers"):
        range_ratio(groups([1, 2, 3], [1, 2]), seed=0)
    with pytest.raises(InputError, match="at least 2 independent pipelines"):
        judge_range_ratio(1.61, conditions=5, pipelines=1, seed=0)
    assert isinstance(range_ratio(groups([1, 1], [2, 2]), seed=0), Undefined)


def test_no_spread_inside_conditions_is_extreme_and_no_spread_at_all_is_not():
    parted = groups([1, 1, 1], [2, 2, 2], [3, 3, 3])
    for statistic in ("F", "range ratio"):
        assert condition_permutation(parted, seed=0, statistic=statistic).p == 1 / 280
    assert condition_permutation(groups([0.3] * 3, [0.3] * 3), seed=0).p == 1.0
