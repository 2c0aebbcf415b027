"""Comparators that stop the arms of the worst scores: successive halving, Hyperband and asynchronous halving (ASHA).

Jamieson & Talwalkar 2016 (1502.07943), Li et al. 2018 (1603.06560), Li et al. 2020 (1810.05934). Runs are resumed, so a
promoted arm pays only for what it has not trained yet. What is left of the budget after the last rung goes to the arms of
the best latest scores, so that all comparators spend until the target or the same budget.
"""

import math
from collections.abc import Sequence

import numpy as np

from imprint.emergence.allocation.arms import Arm, Ledger
from imprint.emergence.allocation.replay import Decision, Policy, PolicyMaker
from imprint.errors import ConfigError


def rungs(depth: int, eta: int, first: int = 1) -> list[int]:
    """The depths at which arms are compared: first, first·η, first·η², ... and the last checkpoint.

    Raises:
        ConfigError: η is below 2.
    """
    if eta < 2:
        raise ConfigError(f"eta={eta}: a rung keeps one arm in eta, so eta must be 2 or more")
    steps = [first * eta**power for power in range(max(1, math.ceil(math.log(max(depth / first, 1), eta) - 1e-9)))]
    return [*[step for step in steps if step < depth], depth]


def _leader(ledger: Ledger) -> Decision:
    arm = max(ledger.affordable(), key=ledger.latest)
    return Decision(arm=arm, reason="after the last rung: best score so far")


class _Bracket:
    """One run of successive halving over some arms: the depths of its rungs, and who is still in."""

    def __init__(self, arms: Sequence[int], depths: Sequence[int], eta: int) -> None:
        self.alive, self.depths, self.eta, self.rung = list(arms), list(depths), eta, 0

    def next_arm(self, ledger: Ledger) -> int | None:
        """The next arm below its rung; None once the last rung is done."""
        open_arms = set(ledger.affordable())
        while True:
            below = [arm for arm in self.alive if arm in open_arms and ledger.depth(arm) < self.depths[self.rung]]
            if below:
                return below[0]
            if self.rung == len(self.depths) - 1 or not self.alive:
                return None
            keep, seen = math.ceil(len(self.alive) / self.eta), self.depths[self.rung]
            self.alive = sorted(self.alive, key=lambda arm: -ledger.latest(arm, seen))[:keep]
            self.rung += 1


def successive_halving(eta: int, first: int = 1) -> PolicyMaker:
    """Successive halving: train all arms to a rung, keep the best 1/η, train those η times as far."""

    def make(arms: Sequence[Arm], seed: int) -> Policy:
        order = np.random.default_rng(seed).permutation(len(arms)).tolist()
        bracket = _Bracket(order, rungs(max(arm.depth for arm in arms), eta, first), eta)

        def choose(ledger: Ledger) -> Decision:
            arm = bracket.next_arm(ledger)
            return _leader(ledger) if arm is None else Decision(arm=arm, reason=f"rung {bracket.rung}")

        return choose

    return make


def hyperband(eta: int) -> PolicyMaker:
    """Hyperband: brackets of successive halving, from many arms at shallow rungs to few arms at full depth."""

    def make(arms: Sequence[Arm], seed: int) -> Policy:
        rng, depth = np.random.default_rng(seed), max(arm.depth for arm in arms)
        most = int(math.log(depth, eta) + 1e-9)
        brackets = []
        for early in range(most, -1, -1):
            count = min(len(arms), math.ceil((most + 1) / (early + 1) * eta**early))
            chosen = rng.permutation(len(arms))[:count].tolist()
            brackets.append(_Bracket(chosen, rungs(depth, eta, max(1, depth // eta**early)), eta))

        def choose(ledger: Ledger) -> Decision:
            for number, bracket in enumerate(brackets):
                arm = bracket.next_arm(ledger)
                if arm is not None:
                    return Decision(arm=arm, reason=f"bracket {number}, rung {bracket.rung}")
            return _leader(ledger)

        return choose

    return make


def asynchronous_halving(eta: int) -> PolicyMaker:
    """ASHA with one worker: promote whenever an arm is in the top 1/η of those that reached its rung, else start one."""

    def make(arms: Sequence[Arm], seed: int) -> Policy:
        order = np.random.default_rng(seed).permutation(len(arms)).tolist()
        depths = rungs(max(arm.depth for arm in arms), eta)

        def choose(ledger: Ledger) -> Decision:
            open_arms = set(ledger.affordable())
            for rung in range(len(depths) - 2, -1, -1):
                arm = _promotable(ledger, open_arms, depths[rung], depths[rung + 1], eta)
                if arm is not None:
                    return Decision(arm=arm, reason=f"promoted to rung {rung + 1}")
            fresh = [arm for arm in order if arm in open_arms and ledger.depth(arm) < depths[0]]
            return Decision(arm=fresh[0], reason="a new arm") if fresh else _leader(ledger)

        return choose

    return make


def _promotable(ledger: Ledger, open_arms: set[int], rung: int, above: int, eta: int) -> int | None:
    reached = [arm for arm in range(len(ledger.arms)) if ledger.depth(arm) >= rung]
    top = sorted(reached, key=lambda arm: -ledger.latest(arm, rung))[: len(reached) // eta]
    return next((arm for arm in top if arm in open_arms and ledger.depth(arm) < above), None)
