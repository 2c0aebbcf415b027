"""The prior from other tasks: the iteration by hand, no look at the task itself, and what it saves on drawn suites."""

import numpy as np
import pytest

from imprint.emergence.allocation import (
    History,
    Prior,
    Problem,
    TaskWorld,
    allocate,
    freeze_thaw,
    history_of,
    scaling_suite,
)
from imprint.emergence.allocation.curves import CEILING_LAWS, LOSS_LAW
from imprint.emergence.allocation.learning import expectation_maximisation


def suite(seed, *, tasks=4, sizes=6, depth=10):
    drawn = scaling_suite(seed, tasks=tasks, sizes=sizes, depth=depth)
    return [TaskWorld(task=f"task {number}", world=world, dropped=0) for number, world in enumerate(drawn)]


def test_one_round_by_hand():
    """Four combinations, two tasks: posteriors (.8, .2, 0, 0) and (.5, 0, .5, 0); half of each round is even."""
    with np.errstate(divide="ignore"):
        evidence = np.log(np.array([[0.8, 0.2, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]]))[:, None, None, None, :]
    found = expectation_maximisation(evidence, rounds=1).ravel()
    np.testing.assert_allclose(found, 0.5 * np.array([0.65, 0.1, 0.25, 0.0]) + 0.125)


def test_evidence_up_to_a_constant_is_enough():
    evidence = np.random.default_rng(0).normal(0, 5, (3, 2, 4, 3, 5))
    shifted = evidence + np.array([0.0, 700.0, -900.0])[:, None, None, None, None]
    found = expectation_maximisation(evidence)
    np.testing.assert_allclose(found, expectation_maximisation(shifted), rtol=1e-8)
    assert found.sum() == pytest.approx(1)
    assert found.min() >= 0.5 / found.size - 1e-15  # nothing becomes impossible


def test_the_task_itself_teaches_nothing():
    worlds = suite(0)
    spoilt = [worlds[0], TaskWorld(task="task 1", world=suite(1)[1].world.reordered(range(6)), dropped=0), *worlds[2:]]
    arms = worlds[1].world
    same_arms = type(arms)(arms=arms.arms, scores=spoilt[1].world.scores, stderrs=arms.stderrs)
    spoilt[1] = TaskWorld(task="task 1", world=same_arms, dropped=0)
    base = Prior()
    one, two = (history_of(some, base).prior(base, without="task 1") for some in (worlds, spoilt))
    np.testing.assert_array_equal(one.learned.weights, two.learned.weights)
    assert one.learned.tasks == ("task 0", "task 2", "task 3")
    other = history_of(spoilt, base).prior(base, without="task 0")  # mutation: where it may be looked at, it does teach
    assert not np.allclose(
        other.learned.weights, history_of(worlds, base).prior(base, without="task 0").learned.weights
    )


def test_without_other_tasks_the_prior_is_the_default():
    base = Prior()
    history = history_of(suite(0, tasks=1), base)
    assert history.prior(base, without="task 0") is base
    assert History(span=history.span, evidence=()).prior(base) is base


def test_the_order_of_tasks_does_not_matter():
    worlds, base = suite(2), Prior()
    one, two = (history_of(some, base).prior(base) for some in (worlds, worlds[::-1]))
    np.testing.assert_allclose(one.learned.weights, two.learned.weights, rtol=1e-9)


def law_weights(prior):
    grid, learned = prior.grid, prior.learned
    by_shape = learned.weights.sum((0, 2, 3)) / learned.weights.sum()
    each = by_shape.reshape(-1, len(grid.floors) * len(grid.widths)).sum(1)
    return dict(zip(learned.span.laws, each.tolist(), strict=True))


def planted_law(exponent, seed):
    """Four tasks on tokens alone, whose ceilings grow with size to the given power."""
    rng, worlds = np.random.default_rng(seed), suite(0)
    arms = worlds[0].world.arms
    span = np.log10(arms[0].exposure)
    drawn = []
    for number in range(4):
        middle, height = rng.uniform(np.quantile(span, 0.2), np.quantile(span, 0.7)), rng.uniform(0.4, 0.9)
        rise = 1 / (1 + np.exp(-(span - middle) / (0.12 * np.ptp(span))))
        scores = tuple(height * (arm.size / arms[-1].size) ** exponent * rise for arm in arms)
        world = type(worlds[0].world)(arms=arms, scores=scores, stderrs=worlds[0].world.stderrs)
        drawn.append(TaskWorld(task=f"task {number}", world=world, dropped=0))
    return drawn


def test_ceilings_that_grow_with_size_are_recognised():
    base = Prior()
    bounded = law_weights(history_of(planted_law(0.3, 0), base).prior(base))
    assert max(CEILING_LAWS, key=bounded.__getitem__) is CEILING_LAWS[1]  # tokens alone, ceilings as size^.3
    assert sum(bounded[law] for law in CEILING_LAWS) > 0.25  # at most half of the weight can be learned at all
    assert bounded[CEILING_LAWS[1]] > bounded[CEILING_LAWS[4]]
    assert bounded[LOSS_LAW] >= 0.5 / 3 - 1e-9  # what is left to the default prior


def test_a_learned_prior_saves_compute_on_suites_that_nothing_was_chosen_on():
    saved, base = [], Prior()
    for seed in range(200, 205):
        worlds = suite(seed)
        history = history_of(worlds, base)
        for one in worlds:
            if one.top < 0.1:
                continue
            problem = Problem(task=one.task, share=0.6, target=0.6 * one.top, world=one.world)
            spent = [
                allocate(
                    one.world, freeze_thaw(prior=prior), target=problem.target, budget=one.world.total_cost, seed=0
                ).spent
                for prior in (base, history.prior(base, without=one.task))
            ]
            saved.append(np.log(spent[0] / spent[1]))
    assert np.mean(saved) > 0.0
