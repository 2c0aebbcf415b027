"""Freeze-thaw allocation: continue the arm that is likeliest to reach the target per unit of compute, or stop.

After Swersky et al. 2014 (1406.3896): all curves are forecast jointly and any frozen arm may be thawed. The index of an arm
is the greatest, over depths, of P(it has crossed by then) / E(what it would cost until it crosses or gets there): the
Gittins index of a job that may end early.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm, Ledger
from imprint.emergence.allocation.fixed_orders import uniform_exposure
from imprint.emergence.allocation.giving_up import arm_to_end_first
from imprint.emergence.allocation.posterior import Posterior, Prior
from imprint.emergence.allocation.replay import Decision, Policy, PolicyMaker


@runtime_checkable
class Forecaster(Protocol):
    """Whatever forecasts crossings: the curve posterior, or another predictor."""

    def crossed_by(self, ledger: Ledger) -> Sequence[Float[np.ndarray, " _"]]:
        """For every arm the probability that it will have crossed by each of its depths."""
        ...

    def any_crosses(self, ledger: Ledger) -> float:
        """The probability that some arm can cross within the remaining budget."""
        ...


class CurveForecaster:
    """The joint curve posterior as a `Forecaster`."""

    def __init__(self, arms: Sequence[Arm], prior: Prior) -> None:
        """Forecast these arms from this prior."""
        self._arms, self._prior = arms, prior
        self._posterior: Posterior | None = None
        self._taken = [0] * len(arms)

    def _updated(self, ledger: Ledger) -> Posterior:
        if self._posterior is None:
            self._posterior = Posterior(self._arms, ledger.target, self._prior)
        for arm, seen in enumerate(ledger.readings):
            for depth in range(self._taken[arm] + 1, len(seen) + 1):
                self._posterior.read(arm, seen[depth - 1])
            self._taken[arm] = len(seen)
        return self._posterior

    def crossed_by(self, ledger: Ledger) -> Sequence[Float[np.ndarray, " _"]]:
        """The posterior's crossing probabilities after all readings."""
        return self._updated(ledger).crossed_by()

    def any_crosses(self, ledger: Ledger) -> float:
        """An upper bound: every arm is given the whole remaining budget."""
        reach = [ledger.reach(arm) for arm in range(len(self._arms))]
        return self._updated(ledger).any_crosses(reach)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caution:
    """When the policy stops believing its forecaster, and when it stops altogether."""

    distrust: float = 0.001
    """A calibrated forecaster is wrongly distrusted in at most this share of allocations (Ville's inequality)."""
    abstain_below: float = 0.005
    """Stop when the probability that any arm can still cross within the budget is below this; 0 never stops."""
    see_ends_first: bool = True
    """Train arms to their ends before giving up, since what happens late is not forecast from early training alone: one where
    sizes tie the arms, else the best and the worst start, and all if an end was not where it seemed to go."""


ForecasterMaker = Callable[[Sequence[Arm], int], Forecaster]


def freeze_thaw(
    forecaster: ForecasterMaker | None = None, prior: Prior | None = None, caution: Caution | None = None
) -> PolicyMaker:
    """The policy, on the curve posterior of `prior` unless another forecaster is given.

    Once the forecaster has promised crossings that did not come (a bet against it has multiplied by 1/`distrust`), the
    policy goes on as uniform allocation, so it can lose to uniform by no more than what it had spent until then.
    Trust: the forecasts are as good as the curve family; a world in which early leaders lose breaks them, and then the
    fall-back is what limits the harm.
    """
    wary, belief = caution or Caution(), prior or Prior()

    def make(arms: Sequence[Arm], seed: int) -> Policy:
        made = CurveForecaster(arms, belief) if forecaster is None else forecaster(arms, seed)
        return _FreezeThaw(arms, seed, made, wary)

    return make


class _FreezeThaw:
    """One allocation's state: the forecaster, and how much a bet against it has won."""

    def __init__(self, arms: Sequence[Arm], seed: int, forecaster: Forecaster, caution: Caution) -> None:
        self.forecaster, self.caution = forecaster, caution
        self.uniform = uniform_exposure(arms, seed)
        self.order = np.random.default_rng(seed).permutation(len(arms))
        self.log_wealth = 0.0
        self.distrusted = False

    def __call__(self, ledger: Ledger) -> Decision:
        # Reaching this line means that the last promise was not kept: a crossing would have ended the allocation.
        self.distrusted = self.distrusted or self.log_wealth >= -math.log(self.caution.distrust)
        if self.distrusted:
            return Decision(arm=self.uniform(ledger).arm, reason="promised crossings did not come: uniform from here")
        chance = self.forecaster.any_crosses(ledger)
        crossed = self.forecaster.crossed_by(ledger)
        index = crossing_index(ledger, crossed)
        if chance < self.caution.abstain_below:
            arm = arm_to_end_first(ledger) if self.caution.see_ends_first else None
            if arm is None:
                return Decision(arm=None, reason="no arm will cross in budget", index=index, chance=chance)
            return Decision(arm=arm, reason="seen to its end before giving up", index=index, chance=chance)
        arm = max(ledger.affordable(), key=lambda one: (index[one], -self.order[one]))
        promised = float(crossed[arm][ledger.depth(arm)])
        self.log_wealth -= math.log1p(-min(promised, 1 - 1e-9))
        return Decision(arm=arm, reason="highest chance per cost", index=index, chance=chance)


def crossing_index(ledger: Ledger, crossed: Sequence[Float[np.ndarray, " _"]]) -> tuple[float, ...]:
    """Each arm's greatest P(crossed by a depth) / E(cost until it crosses or gets there); NaN if it cannot go on."""
    open_arms = set(ledger.affordable())
    return tuple(
        _best_ratio(ledger, arm, crossed[arm]) if arm in open_arms else math.nan for arm in range(len(ledger.arms))
    )


def _best_ratio(ledger: Ledger, arm: int, crossed: Float[np.ndarray, " _"]) -> float:
    depth, reach = ledger.depth(arm), ledger.reach(arm)
    cost = ledger.arms[arm].cost[:reach]
    steps = np.diff(np.concatenate([[ledger.spent_on(arm)], cost[depth:]]))
    ahead = crossed[depth:reach]
    not_before = 1.0 - np.concatenate([[0.0], ahead[:-1]])
    expected = np.cumsum(steps * not_before)
    return float(np.max(ahead / np.maximum(expected, 1e-300)))
