"""Arms of an allocation: what may be trained further, what each checkpoint costs, and what was seen so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from imprint.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One run that may be started and continued: a size, a mixture, a component or an intervention.

    Raises:
        ConfigError: exposure and cost differ in length, are empty, or do not grow.
    """

    name: str
    exposure: Float[np.ndarray, " depth"]
    """Tokens (or steps) at each checkpoint, growing."""
    cost: Float[np.ndarray, " depth"]
    """What training from nothing to each checkpoint costs, growing; any unit that all arms share."""
    size: float | None = None
    """Parameters, where they are known."""

    def __post_init__(self) -> None:
        """Refuse what could not be paid for."""
        if not 0 < len(self.exposure) == len(self.cost):
            raise ConfigError(f"arm '{self.name}' has {len(self.exposure)} checkpoints and {len(self.cost)} costs")
        for name, values in (("exposure", self.exposure), ("cost", self.cost)):
            if values[0] <= 0 or np.any(np.diff(values) <= 0):
                raise ConfigError(
                    f"the {name} of arm '{self.name}' must be above 0 and grow from checkpoint to checkpoint"
                )

    @property
    def depth(self) -> int:
        """How many checkpoints the arm has."""
        return len(self.cost)

    def cost_to(self, depth: int) -> float:
        """What training to its first `depth` checkpoints costs."""
        return float(self.cost[depth - 1]) if depth else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One score at one checkpoint: chance-corrected (0 = chance, 1 = perfect), with its standard error."""

    score: float
    stderr: float


@runtime_checkable
class Environment(Protocol):
    """Whatever trains arms: a recorded table, or real training."""

    @property
    def arms(self) -> Sequence[Arm]:
        """The arms, in an order that tells nothing about their scores."""
        ...

    def observe(self, arm: int, depth: int) -> Reading:
        """Train arm number `arm` from checkpoint `depth - 1` to checkpoint `depth` (the first is 1) and score it."""
        ...


@dataclass(slots=True)
class Ledger:
    """All that a policy may know: the arms, the target, the budget, and the scores that were paid for."""

    arms: Sequence[Arm]
    target: float
    budget: float
    readings: list[list[Reading]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start with nothing seen."""
        self.readings = self.readings or [[] for _ in self.arms]

    def depth(self, arm: int) -> int:
        """How many checkpoints of the arm have been paid for."""
        return len(self.readings[arm])

    def spent_on(self, arm: int) -> float:
        """What the arm has cost so far."""
        return self.arms[arm].cost_to(self.depth(arm))

    @property
    def spent(self) -> float:
        """What all arms have cost so far."""
        return float(sum(arm.cost[len(seen) - 1] for arm, seen in zip(self.arms, self.readings, strict=True) if seen))

    @property
    def remaining(self) -> float:
        """What is left of the budget."""
        return self.budget - self.spent

    def price(self, arm: int) -> float:
        """What the next checkpoint of the arm costs."""
        return self.arms[arm].cost_to(self.depth(arm) + 1) - self.spent_on(arm)

    def affordable(self) -> list[int]:
        """The arms that have a next checkpoint within the remaining budget."""
        remaining, found = self.remaining * (1 + 1e-12), []
        for number, (arm, seen) in enumerate(zip(self.arms, self.readings, strict=True)):
            depth = len(seen)
            paid = arm.cost[depth - 1] if depth else 0.0
            if depth < len(arm.cost) and arm.cost[depth] - paid <= remaining:
                found.append(number)
        return found

    def reach(self, arm: int) -> int:
        """The depth that the arm could get to if it had the whole remaining budget."""
        funds = (self.remaining + self.spent_on(arm)) * (1 + 1e-12)
        return max(self.depth(arm), int(np.searchsorted(self.arms[arm].cost, funds, side="right")))

    def latest(self, arm: int, upto: int | None = None) -> float:
        """The mean of the arm's last two scores (of its first `upto`); minus infinity for an arm not begun."""
        seen = self.readings[arm][:upto][-2:]
        return sum(reading.score for reading in seen) / len(seen) if seen else -np.inf
