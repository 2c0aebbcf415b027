"""Allocation as it happens: a policy chooses, an environment trains and scores, a ledger pays, an audit row is written."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm, Environment, Ledger, Reading
from imprint.errors import ConfigError, SelfCheckFailed


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a policy wants: an arm to continue by one checkpoint, or to stop (`arm` is None)."""

    arm: int | None
    reason: str
    index: tuple[float, ...] = ()
    """One value an arm where the policy ranks them; NaN for arms that cannot be continued."""
    chance: float | None = None
    """The probability that any arm reaches the target within the remaining budget, where the policy has one."""


@runtime_checkable
class Policy(Protocol):
    """Chooses the next arm; made anew for every replay."""

    def __call__(self, ledger: Ledger) -> Decision:
        """The next decision, from what has been paid for."""
        ...


PolicyMaker = Callable[[Sequence[Arm], int], Policy]
"""Makes a policy for these arms and this seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One decision: what was known, what was chosen and why, and what it cost."""

    decision: int
    seed: int
    depths: tuple[int, ...]
    """Checkpoints of each arm that had been seen before the decision."""
    last_scores: tuple[float | None, ...]
    index: tuple[float | None, ...]
    chance: float | None
    arm: str | None
    reason: str
    cost: float
    score: float | None
    spent: float
    remaining: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for a line of JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How an allocation ended."""

    crossed: bool
    abstained: bool
    spent: float
    arm: str | None
    """The arm that reached the target."""
    depths: tuple[int, ...]
    best_score: float
    """The best last score of any arm that was begun."""
    audit: tuple[AuditRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """Arms whose scores are on file: an `Environment` for replays.

    Raises:
        ConfigError: there is no arm, or an arm's scores do not fit its checkpoints.
    """

    arms: tuple[Arm, ...]
    scores: tuple[Float[np.ndarray, " _"], ...]
    stderrs: tuple[Float[np.ndarray, " _"], ...]

    def __post_init__(self) -> None:
        """Refuse scores that do not fit."""
        lengths = [(len(one), len(error)) for one, error in zip(self.scores, self.stderrs, strict=True)]
        if not self.arms or lengths != [(arm.depth, arm.depth) for arm in self.arms]:
            raise ConfigError("a recorded world needs an arm or more, with one score and one error a checkpoint")

    def observe(self, arm: int, depth: int) -> Reading:
        """The recorded score."""
        return Reading(score=float(self.scores[arm][depth - 1]), stderr=float(self.stderrs[arm][depth - 1]))

    def first_crossing(self, arm: int, target: float) -> int | None:
        """The depth at which the arm first reaches the target; None if it never does."""
        at = np.flatnonzero(self.scores[arm] >= target)
        return int(at[0]) + 1 if at.size else None

    def cheapest(self, target: float) -> float | None:
        """What the oracle pays: the cost of the cheapest arm that reaches the target; None if none does."""
        depths = [(arm, self.first_crossing(number, target)) for number, arm in enumerate(self.arms)]
        return min((arm.cost_to(depth) for arm, depth in depths if depth is not None), default=None)

    def reordered(self, order: Sequence[int]) -> "Recorded":
        """The same arms (or some of them) in another order."""
        return Recorded(
            arms=tuple(self.arms[one] for one in order),
            scores=tuple(self.scores[one] for one in order),
            stderrs=tuple(self.stderrs[one] for one in order),
        )

    @property
    def total_cost(self) -> float:
        """What training every arm to its end costs."""
        return sum(arm.cost_to(arm.depth) for arm in self.arms)


def allocate(
    environment: Environment,
    maker: PolicyMaker,
    *,
    target: float,
    budget: float,
    seed: int,
    on_row: Callable[[AuditRow], None] | None = None,
) -> Outcome:
    """Continue arms, one checkpoint a decision, until one reaches the target, the budget is gone, or the policy stops.

    `on_row` is given every audit row as soon as its decision has been carried out.

    Raises:
        SelfCheckFailed: the policy chose an arm that it cannot pay for, or spending does not add up.
    """
    arms = environment.arms
    ledger, policy = Ledger(arms, target, budget), maker(arms, seed)
    rows: list[AuditRow] = []
    winner: int | None = None
    while winner is None and ledger.affordable():
        decision = policy(ledger)
        row, reading = _carry_out(environment, ledger, decision, number=len(rows), seed=seed)
        rows.append(row)
        if on_row is not None:
            on_row(row)
        if reading is None:
            break
        if reading.score >= target:
            winner = decision.arm
    _check_books(ledger, rows)
    return Outcome(
        crossed=winner is not None,
        abstained=bool(rows) and rows[-1].arm is None,
        spent=ledger.spent,
        arm=None if winner is None else arms[winner].name,
        depths=tuple(map(len, ledger.readings)),
        best_score=max((seen[-1].score for seen in ledger.readings if seen), default=float("-inf")),
        audit=tuple(rows),
    )


def _carry_out(
    environment: Environment, ledger: Ledger, decision: Decision, *, number: int, seed: int
) -> tuple[AuditRow, Reading | None]:
    known = tuple(map(len, ledger.readings))
    scores = tuple(seen[-1].score if seen else None for seen in ledger.readings)
    cost, reading = 0.0, None
    if decision.arm is not None:
        if decision.arm not in ledger.affordable():
            raise SelfCheckFailed(f"the policy chose arm {decision.arm}, whose next checkpoint cannot be paid for")
        cost = ledger.price(decision.arm)
        reading = environment.observe(decision.arm, ledger.depth(decision.arm) + 1)
        ledger.readings[decision.arm].append(reading)
    row = AuditRow(
        decision=number,
        seed=seed,
        depths=known,
        last_scores=scores,
        index=tuple(None if np.isnan(value) else value for value in decision.index),
        chance=decision.chance,
        arm=None if decision.arm is None else ledger.arms[decision.arm].name,
        reason=decision.reason,
        cost=cost,
        score=None if reading is None else reading.score,
        spent=ledger.spent,
        remaining=ledger.remaining,
    )
    return row, reading


def _check_books(ledger: Ledger, rows: Sequence[AuditRow]) -> None:
    """What the rows say was paid is what the arms' depths cost, and never more than the budget."""
    paid = sum(row.cost for row in rows)
    if abs(paid - ledger.spent) > 1e-9 * max(ledger.spent, 1.0) or ledger.spent > ledger.budget * (1 + 1e-9):
        raise SelfCheckFailed(
            f"the audit adds up to {paid}, the arms cost {ledger.spent}, the budget is {ledger.budget}"
        )
