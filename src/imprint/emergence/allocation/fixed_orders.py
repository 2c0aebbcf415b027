"""Comparators that look at no score: uniform, random, and one size after another."""

from collections.abc import Callable, Sequence

import numpy as np

from imprint.emergence.allocation.arms import Arm, Ledger
from imprint.emergence.allocation.replay import Decision, Policy, PolicyMaker

Rank = Callable[[Ledger, int], float]


def _least(rank: Rank, seed: int, arms: int, reason: str) -> Policy:
    """Continue the affordable arm of the least rank; ties by an order drawn from the seed."""
    order = np.random.default_rng(seed).permutation(arms)

    def choose(ledger: Ledger) -> Decision:
        arm = min(ledger.affordable(), key=lambda one: (rank(ledger, one), order[one]))
        return Decision(arm=arm, reason=reason)

    return choose


def uniform_exposure(arms: Sequence[Arm], seed: int) -> Policy:
    """All arms side by side: the one that has seen the fewest tokens goes on."""

    def seen(ledger: Ledger, arm: int) -> float:
        depth = ledger.depth(arm)
        return float(ledger.arms[arm].exposure[depth - 1]) if depth else 0.0

    return _least(seen, seed, len(arms), "fewest tokens so far")


def uniform_cost(arms: Sequence[Arm], seed: int) -> Policy:
    """All arms at equal cost: the one that would have cost the least goes on."""
    return _least(lambda ledger, arm: ledger.spent_on(arm) + ledger.price(arm), seed, len(arms), "least cost so far")


def random_arm(arms: Sequence[Arm], seed: int) -> Policy:
    """Any arm that can go on."""
    rng = np.random.default_rng(seed)

    def choose(ledger: Ledger) -> Decision:
        open_arms = ledger.affordable()
        return Decision(arm=open_arms[rng.integers(len(open_arms))], reason="drawn at random")

    return choose


def random_search(arms: Sequence[Arm], seed: int) -> Policy:
    """One arm after another in random order, each to its end."""
    return _least(lambda ledger, arm: -min(ledger.depth(arm), 1), seed, len(arms), "next in a random order")


def by_size(which: str) -> PolicyMaker:
    """One arm after another to its end, by what a whole run costs: "smallest", "largest" or "median" first."""

    def make(arms: Sequence[Arm], seed: int) -> Policy:
        ranks = np.argsort(np.argsort([arm.cost_to(arm.depth) for arm in arms], kind="stable"), kind="stable")
        keys = {"smallest": ranks, "largest": -ranks, "median": np.abs(ranks - len(arms) // 2)}[which]
        return _least(lambda ledger, arm: float(keys[arm]), seed, len(arms), f"{which} first")

    return make


def greedy(arms: Sequence[Arm], seed: int) -> Policy:
    """The arm of the best latest score, once each has been scored at its first checkpoint."""
    return _least(
        lambda ledger, arm: -ledger.latest(arm) if ledger.depth(arm) else -np.inf, seed, len(arms), "best score so far"
    )
