"""AT-AS-1: every decision is on the books, to the checkpoint."""

import numpy as np
import pytest
from small_worlds import recorded

from imprint.emergence.allocation import (
    Arm,
    AuditLog,
    Decision,
    Ledger,
    Problem,
    Recorded,
    allocate,
    contenders,
    crossing_world,
    freeze_thaw,
    random_arm,
    read_audit,
    uniform_cost,
    uniform_exposure,
)
from imprint.errors import ConfigError, SelfCheckFailed

WORLD = recorded([0.0, 0.1, 0.2], [0.0, 0.3, 0.6], costs=[1.0, 2.0])


def test_uniform_pays_for_all_arms_side_by_side():
    outcome = allocate(WORLD, uniform_exposure, target=0.6, budget=100.0, seed=0)
    assert outcome.crossed
    assert outcome.arm == "arm 1"
    assert outcome.depths in ((3, 3), (2, 3))
    assert outcome.spent == 6 + outcome.depths[0]


def test_equal_compute_is_counted_in_cost():
    outcome = allocate(WORLD, uniform_cost, target=0.3, budget=100.0, seed=0)
    assert (outcome.depths, outcome.spent) == ((3, 2), 7.0)


def posed(world):
    return Problem(task="drawn", share=None, target=0.97, world=world)


@pytest.mark.parametrize("name", contenders(posed(crossing_world(0))))
@pytest.mark.parametrize("share", [0.11, 0.5, 1.0])
def test_books_add_up_for_every_policy(name, share):
    world = crossing_world(3, arms=9, depth=9)
    budget = share * world.total_cost
    outcome = allocate(world, contenders(posed(world))[name], target=0.97, budget=budget, seed=1)
    assert sum(row.cost for row in outcome.audit) == pytest.approx(outcome.spent, abs=1e-9)
    assert outcome.spent == sum(arm.cost_to(depth) for arm, depth in zip(world.arms, outcome.depths, strict=True))
    assert outcome.spent <= budget
    for before, after in zip(outcome.audit[:-1], outcome.audit[1:], strict=True):
        moved = np.array(after.depths) - np.array(before.depths)
        assert moved.sum() == 1  # one checkpoint a decision, and of the arm that the row names
        assert world.arms[int(moved.argmax())].name == before.arm
        assert after.spent == pytest.approx(before.spent + after.cost)
        assert after.remaining == pytest.approx(budget - after.spent)


def test_a_policy_sees_no_score_that_was_not_paid_for():
    seen = []

    def watch(arms, seed):
        even = uniform_exposure(arms, seed)

        def choose(ledger):
            seen.append(sum(map(len, ledger.readings)))
            return even(ledger)

        return choose

    allocate(WORLD, watch, target=0.5, budget=100.0, seed=0)
    assert seen == list(range(len(seen)))


def test_nothing_is_bought_beyond_the_budget():
    outcome = allocate(WORLD, uniform_exposure, target=0.6, budget=3.5, seed=0)
    assert not outcome.crossed
    assert not outcome.abstained
    assert outcome.spent <= 3.5
    ledger = Ledger(WORLD.arms, 0.6, 2.0)
    assert ledger.affordable() == [0, 1]
    assert [ledger.reach(arm) for arm in (0, 1)] == [2, 1]


def test_a_policy_that_overdraws_is_caught():
    def overdraw(arms, seed):
        return lambda ledger: Decision(arm=1, reason="whatever it costs")

    with pytest.raises(SelfCheckFailed, match="cannot be paid for"):
        allocate(WORLD, overdraw, target=2.0, budget=5.0, seed=0)


def test_the_same_seed_gives_the_same_audit(tmp_path):
    world = crossing_world(0, arms=6, depth=6)
    one, two = (allocate(world, freeze_thaw(), target=0.5, budget=36.0, seed=4) for _ in range(2))
    assert one == two
    assert allocate(world, random_arm, target=0.5, budget=36.0, seed=1) == allocate(
        world, random_arm, target=0.5, budget=36.0, seed=1
    )


def test_the_log_is_read_back(tmp_path):
    log = tmp_path / "audit.jsonl"
    outcome = allocate(WORLD, freeze_thaw(), target=0.6, budget=9.0, seed=0, on_row=AuditLog(log))
    assert tuple(read_audit(log)) == outcome.audit
    log.write_text("{}\n")
    with pytest.raises(ConfigError, match="line 1"):
        read_audit(log)


def test_impossible_arms_are_refused():
    rising = np.array([1.0, 2.0])
    with pytest.raises(ConfigError, match="must be above 0 and grow"):
        Arm(name="x", exposure=rising, cost=np.array([2.0, 1.0]))
    with pytest.raises(ConfigError, match="0 checkpoints and 0 costs"):
        Arm(name="x", exposure=rising[:0], cost=rising[:0])
    with pytest.raises(ConfigError, match="one score"):
        Recorded(arms=(Arm(name="x", exposure=rising, cost=rising),), scores=(np.zeros(3),), stderrs=(np.zeros(3),))
