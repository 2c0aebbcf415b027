"""The posterior, its index, its doubt, and AT-AS-3."""

import numpy as np
import pytest
from small_worlds import recorded

from imprint.emergence.allocation import (
    Caution,
    Ledger,
    Posterior,
    Prior,
    Reading,
    allocate,
    crossing_world,
    flat_world,
    freeze_thaw,
    guesser,
    oracle,
    reversal_world,
    scaling_world,
    successive_halving,
    uniform_exposure,
)
from imprint.emergence.allocation.freeze_thaw import crossing_index


def target_of(world, share=0.9):
    return share * max(float(one[-1]) for one in world.scores)


@pytest.mark.parametrize("make", [crossing_world, reversal_world, scaling_world])
def test_an_oracle_has_no_regret(make):
    world = make(1)
    target = target_of(world, 0.6)
    outcome = allocate(world, oracle(world), target=target, budget=world.total_cost, seed=0)
    assert outcome.spent == world.cheapest(target)


def test_an_oracle_stops_at_once_where_nothing_crosses():
    world = flat_world(0)
    outcome = allocate(world, oracle(world), target=0.5, budget=world.total_cost, seed=0)
    assert (outcome.abstained, outcome.spent) == (True, 0.0)


def test_noise_loses_to_uniform_by_no_more_than_its_probing():
    for seed in range(4):
        world = crossing_world(seed, arms=12, depth=12)
        target = target_of(world)
        even = allocate(world, uniform_exposure, target=target, budget=world.total_cost, seed=seed)
        noisy = allocate(world, guesser(), target=target, budget=world.total_cost, seed=seed)
        probing = sum(row.cost for row in noisy.audit if not row.reason.startswith("promised"))
        assert noisy.crossed
        assert noisy.spent <= even.spent + probing
        assert probing < 0.5 * world.total_cost


def test_without_doubt_noise_may_cost_more_than_that():
    """Mutation: a policy that never distrusts its forecaster spends everything as noise says."""
    trusting = guesser(Caution(distrust=1e-300, abstain_below=0.0))
    probing = []
    for seed in range(5):
        world = crossing_world(seed, arms=12, depth=12)
        outcome = allocate(world, trusting, target=target_of(world), budget=world.total_cost, seed=seed)
        probing.append(outcome.spent / world.total_cost)
    assert max(probing) > 0.4


def test_the_index_is_chance_over_expected_cost_by_hand():
    world = recorded([0.0] * 3, [0.0] * 3, costs=[1.0, 2.0])
    ledger = Ledger(world.arms, 1.0, 100.0)
    crossed = [np.array([0.1, 0.5, 0.6]), np.array([0.0, 0.0, 0.9])]
    index = crossing_index(ledger, crossed)
    # arm 0: .1/1, .5/(1 + .9), .6/(1 + .9 + .5); arm 1: .9/(2 + 2 + 2)
    assert index == pytest.approx((max(0.1, 0.5 / 1.9, 0.6 / 2.4), 0.15))
    assert np.isnan(crossing_index(Ledger(world.arms, 1.0, 1.5), crossed)[1])  # cannot be paid for


def test_what_one_arm_shows_moves_the_others():
    world = scaling_world(0)
    posterior = Posterior(world.arms, 0.25, Prior())
    before = posterior.crossed_by()[-1][-1]
    for depth in range(12):
        posterior.read(0, Reading(score=0.5, stderr=0.01))
        assert 0 <= posterior.any_crosses([depth + 2] * len(world.arms)) <= 1
    assert posterior.crossed_by()[-1][-1] > before + 0.1  # a small arm at twice the target: a large one gets there too


def test_probabilities_rise_with_depth_and_stay_in_range():
    world = scaling_world(2)
    posterior = Posterior(world.arms, 0.2, Prior())
    for arm in range(4):
        for depth in range(3):
            posterior.read(arm, Reading(score=float(world.scores[arm][depth]), stderr=0.015))
    for crossed in posterior.crossed_by():
        assert np.all(np.diff(crossed) >= -1e-12)
        assert crossed[0] >= 0
        assert crossed[-1] <= 1


def test_forecasts_do_not_depend_on_the_order_of_arms():
    world = scaling_world(3, sizes=4, depth=6)
    turned = world.reordered([2, 0, 3, 1])
    one, two = (Posterior(one.arms, 0.2, Prior()) for one in (world, turned))
    one.read(0, Reading(score=0.1, stderr=0.01))
    two.read(1, Reading(score=0.1, stderr=0.01))
    np.testing.assert_allclose(np.array(one.crossed_by())[[2, 0, 3, 1]], np.array(two.crossed_by()), atol=1e-9)


def test_costs_in_another_unit_change_nothing():
    world = scaling_world(4, sizes=5, depth=8)
    dearer = recorded(*world.scores, costs=[7.0 * one for one in range(1, 6)])
    cheaper = recorded(*world.scores, costs=[0.1 * one for one in range(1, 6)])
    both = [allocate(one, freeze_thaw(), target=0.1, budget=one.total_cost, seed=0) for one in (dearer, cheaper)]
    assert both[0].depths == both[1].depths


def test_it_says_that_no_arm_will_cross():
    for seed in range(2):
        world = flat_world(seed, arms=6, depth=10)
        outcome = allocate(world, freeze_thaw(), target=0.3, budget=world.total_cost, seed=seed)
        assert outcome.abstained
        assert outcome.audit[-1].reason == "no arm will cross in budget"
        assert outcome.audit[-1].chance < 0.005
        assert outcome.spent < world.total_cost


def test_it_does_not_stop_where_an_arm_crosses():
    for seed in range(3):
        world = scaling_world(seed, sizes=6, depth=10)
        target = 0.6 * max(float(one.max()) for one in world.scores)
        assert allocate(world, freeze_thaw(), target=target, budget=world.total_cost, seed=0).crossed


def test_it_needs_less_than_halving_on_scaling_worlds_it_was_not_chosen_on():
    logs = []
    for seed in range(100, 106):
        world = scaling_world(seed, sizes=8, depth=12)
        target = 0.6 * max(float(one.max()) for one in world.scores)
        ours, theirs = (
            allocate(world, maker, target=target, budget=world.total_cost, seed=0).spent
            for maker in (freeze_thaw(), successive_halving(3))
        )
        logs.append(np.log(theirs / ours))
    assert np.mean(logs) > 0.0
