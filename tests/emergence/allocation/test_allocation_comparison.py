"""Paired savings, and AT-AS-2: what the tool says where early leaders lose."""

import numpy as np
import pytest
from small_worlds import recorded

from imprint.emergence.allocation import (
    OURS,
    Problem,
    compare,
    contenders,
    flat_world,
    ordered_world,
    over_oracle,
    race,
    rank_sentence,
    rank_stability,
    reversal_world,
    saving,
)
from imprint.errors import ConfigError

HALVING, UNIFORM = "successive halving 3", "uniform (tokens)"


def posed(make, draws, **sizes):
    worlds = [make(seed, **sizes) for seed in range(draws)]
    return [
        Problem(task=f"draw {seed}", share=None, target=0.9 * max(float(one[-1]) for one in world.scores), world=world)
        for seed, world in enumerate(worlds)
    ]


def some(*names):
    return lambda problem: {name: contenders(problem)[name] for name in names}


def test_where_early_leaders_lose_it_says_that_halving_loses_to_uniform():
    problems = posed(reversal_world, 3, arms=12, depth=18)
    raced = race(problems, policies=some(HALVING, UNIFORM), replications=1)
    (found,) = compare(raced, [(HALVING, UNIFORM)])
    assert found.word == "worse"
    assert found.sentence.startswith("uniform (tokens) is better than successive halving 3 here")
    assert found.saving.high < 1
    assert "early leaders lose" in rank_sentence(problems)


def test_where_early_leaders_win_it_says_that_halving_is_better():
    problems = posed(ordered_world, 3, arms=12, depth=18)
    raced = race(problems, policies=some(HALVING, UNIFORM), replications=1)
    (found,) = compare(raced, [(HALVING, UNIFORM)])
    assert found.word == "better"
    assert "early leaders win" in rank_sentence(problems)


def test_it_says_so_where_its_own_policy_is_worse():
    problems = posed(reversal_world, 3, arms=9, depth=9)
    raced = race(problems, policies=some(OURS, "oracle"), replications=1)
    (found,) = compare(raced, [(OURS, "oracle")])
    assert found.word == "worse"
    assert found.sentence.startswith("oracle is better than freeze-thaw here")


def test_a_policy_against_itself_saves_nothing():
    raced = race(posed(ordered_world, 4, arms=6, depth=6), policies=some(UNIFORM, "greedy", "oracle"), replications=2)
    same = saving(raced, UNIFORM, UNIFORM)
    assert (same.estimate, same.low, same.high) == (1.0, 1.0, 1.0)
    there, back = saving(raced, UNIFORM, "greedy"), saving(raced, "greedy", UNIFORM)
    assert there.estimate * back.estimate == pytest.approx(1.0)
    assert there.low * back.high == pytest.approx(1.0)
    assert over_oracle(raced, "oracle").estimate == 1.0
    assert over_oracle(raced, "greedy").low >= 1.0


def test_replications_are_paired_parts_that_can_still_be_solved():
    (problem,) = posed(reversal_world, 1, arms=10, depth=8)
    assert problem.replication(0) is problem
    for number in range(1, 8):
        part = problem.replication(number)
        assert len(part.world.arms) == 8
        assert part.world.cheapest(problem.target) is not None
        assert [arm.name for arm in part.world.arms] == [arm.name for arm in problem.replication(number).world.arms]


def test_giving_up_is_charged_the_whole_budget():
    world = flat_world(0, arms=4, depth=6)
    world = recorded(*world.scores, [*np.zeros(5), 0.9], stderr=0.015)
    problem = Problem(task="late", share=None, target=0.8, world=world)
    raced = race([problem], policies=some(OURS), replications=1, budget_share=0.5)
    row = raced.row(0, named=True)
    assert not row["crossed"]
    assert row["charged"] == 0.5 * world.total_cost


def test_ranks():
    assert rank_stability(ordered_world(0)) == pytest.approx(1.0)
    assert rank_stability(reversal_world(0)) == pytest.approx(-1.0)
    assert rank_stability(recorded([0.0, 1.0], [0.0, 0.5])) is None


def test_one_task_leaves_no_interval():
    raced = race(posed(ordered_world, 1, arms=4, depth=4), policies=some(UNIFORM, "greedy"), replications=2)
    with pytest.raises(ConfigError, match="one task leaves no interval"):
        saving(raced, UNIFORM, "greedy")
    with pytest.raises(ConfigError, match="no policy 'nobody'"):
        saving(raced, UNIFORM, "nobody")
