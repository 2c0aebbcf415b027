"""What must be seen before giving up: by hand, where it would be wrong, and where it is right."""

import pytest
from small_worlds import recorded

from imprint.emergence.allocation import (
    Caution,
    Ledger,
    allocate,
    flat_world,
    freeze_thaw,
    reversal_world,
    sleeper_world,
)
from imprint.emergence.allocation.giving_up import arm_to_end_first, moved_late

FLAT, RISING, FALLING = [0.0, 0.01, 0.0, 0.01], [0.1, 0.1, 0.4, 0.5], [0.3, 0.3, 0.1, 0.1]


def seen(world, *depths, budget=100.0):
    ledger = Ledger(world.arms, 1.0, budget)
    for arm, depth in enumerate(depths):
        ledger.readings[arm] = [world.observe(arm, one + 1) for one in range(depth)]
    return ledger


def test_the_cheapest_end_comes_first():
    world = recorded(FLAT, FLAT, costs=[2.0, 1.0])
    assert arm_to_end_first(seen(world, 1, 1)) == 1
    assert arm_to_end_first(seen(world, 3, 1)) == 0
    assert arm_to_end_first(seen(world, 1, 1, budget=4.0)) is None  # no end can be paid for


def test_where_sizes_tie_the_arms_one_end_is_enough():
    assert arm_to_end_first(seen(recorded(FLAT, FLAT, FLAT, sizes=[1.0, 2.0, 4.0]), 4, 1, 1)) is None
    assert arm_to_end_first(seen(recorded(FLAT, FLAT, FLAT), 4, 1, 0)) == 2  # without sizes none may be unseen


def test_the_worst_start_and_then_the_best_are_ended():
    world = recorded([0.2, 0.2, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1], [0.4, 0.4, 0.4, 0.4])
    assert arm_to_end_first(seen(world, 4, 1, 1)) == 1
    assert arm_to_end_first(seen(world, 4, 4, 1)) == 2
    assert arm_to_end_first(seen(world, 4, 4, 4)) is None


def test_an_arm_that_moves_late_bounds_no_other():
    middle = [0.2, 0.2, 0.2, 0.2]
    for moving in (RISING, FALLING):
        ledger = seen(recorded(moving, FLAT, middle), 4, 4, 2)
        assert moved_late(ledger, [0, 1])
        assert not moved_late(ledger, [1])
        assert arm_to_end_first(ledger) == 2
    still = seen(recorded(FLAT, FLAT, FLAT), 4, 4, 0)
    assert not moved_late(still, [0, 1])
    assert arm_to_end_first(seen(recorded(FLAT, FLAT, FLAT), 4, 4, 4)) is None


@pytest.mark.parametrize("make", [reversal_world, sleeper_world])
def test_it_does_not_give_up_where_late_risers_win(make):
    for seed in range(3):
        world = make(seed, arms=12, depth=12)
        target = 0.9 * max(float(one[-1]) for one in world.scores)
        assert allocate(world, freeze_thaw(), target=target, budget=world.total_cost, seed=seed).crossed


def test_without_seeing_ends_it_gives_up_wrongly_there():
    """Mutation: what happens late is not forecast from early training alone."""
    hasty, wrong = freeze_thaw(caution=Caution(see_ends_first=False)), 0
    for seed in range(3):
        world = reversal_world(seed, arms=12, depth=12)
        target = 0.9 * max(float(one[-1]) for one in world.scores)
        wrong += allocate(world, hasty, target=target, budget=world.total_cost, seed=seed).abstained
    assert wrong


def test_where_there_is_nothing_it_still_stops_early():
    for seed in range(4):
        world = flat_world(seed, arms=8, depth=12)
        outcome = allocate(world, freeze_thaw(), target=0.2, budget=world.total_cost, seed=seed)
        assert outcome.abstained
        assert outcome.spent < 0.9 * world.total_cost
