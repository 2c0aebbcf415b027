"""Allocation policies on the same problems with the same budget: what each pays until the target, and who needs less."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from imprint.emergence.allocation.fixed_orders import (
    by_size,
    greedy,
    random_arm,
    random_search,
    uniform_cost,
    uniform_exposure,
)
from imprint.emergence.allocation.forecasters import oracle
from imprint.emergence.allocation.freeze_thaw import freeze_thaw
from imprint.emergence.allocation.halving import asynchronous_halving, hyperband, successive_halving
from imprint.emergence.allocation.posterior import Prior
from imprint.emergence.allocation.replay import Outcome, PolicyMaker, Recorded, allocate
from imprint.emergence.allocation.tables import TaskWorld
from imprint.errors import ConfigError
from imprint.stats import Effect, bootstrap_mean
from imprint.types import Advance, no_progress

SHARES = (0.35, 0.6, 0.85)
"""Targets of a replay, as shares of the best score on record."""
KEPT_ARMS = 0.8
"""Every replication after the first replays a random part of the arms of this size, in random order."""
OURS = "freeze-thaw"
UNTAUGHT = "freeze-thaw (default prior)"
"""Beside freeze-thaw on a prior that was learned from other tasks, the same on the prior that knows nothing of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Reach `target` with one of these arms, for as little compute as possible."""

    task: str
    share: float | None
    """The target as a share of the best score on record, where it was chosen so."""
    target: float
    world: Recorded

    @property
    def reaching(self) -> float:
        """The share of arms that ever reach the target."""
        crossings = [self.world.first_crossing(arm, self.target) for arm in range(len(self.world.arms))]
        return float(np.mean([one is not None for one in crossings]))

    def replication(self, number: int) -> "Problem":
        """The problem itself (0), or one with a random part of its arms that can still be solved if it could before."""
        if number == 0:
            return self
        rng, solvable = np.random.default_rng(number), self.world.cheapest(self.target) is not None
        keep = max(2, round(KEPT_ARMS * len(self.world.arms)))
        while True:
            world = self.world.reordered(rng.permutation(len(self.world.arms))[:keep].tolist())
            if not solvable or world.cheapest(self.target) is not None:
                return Problem(task=self.task, share=self.share, target=self.target, world=world)


def problems(worlds: Iterable[TaskWorld], shares: Sequence[float] = SHARES) -> list[Problem]:
    """One problem a task and share of its best score; only those that some arm solves.

    Raises:
        ConfigError: a share is not between 0 and 1.
    """
    wrong = [share for share in shares if not 0 < share <= 1]
    if wrong:
        raise ConfigError(f"a target of {wrong[0]} of the best score is not above 0 and at most 1")
    return [
        Problem(task=one.task, share=share, target=share * one.top, world=one.world)
        for one in worlds
        for share in shares
    ]


def contenders(problem: Problem, taught: Mapping[str, Prior] | None = None) -> dict[str, PolicyMaker]:
    """The policies of a comparison, by name; the oracle needs to know the world.

    `taught` has the prior of every task, learned from other tasks.
    """
    ours = (
        {OURS: freeze_thaw()}
        if taught is None
        else {OURS: freeze_thaw(prior=taught[problem.task]), UNTAUGHT: freeze_thaw()}
    )
    return {
        **ours,
        "uniform (tokens)": uniform_exposure,
        "uniform (compute)": uniform_cost,
        "random": random_arm,
        "random search": random_search,
        "greedy": greedy,
        "smallest first": by_size("smallest"),
        "median first": by_size("median"),
        "largest first": by_size("largest"),
        **{f"successive halving {eta}": successive_halving(eta) for eta in (2, 3, 4)},
        "Hyperband 3": hyperband(3),
        **{f"ASHA {eta}": asynchronous_halving(eta) for eta in (2, 3)},
        "oracle": oracle(problem.world),
    }


def race(
    solvable: Sequence[Problem],
    *,
    policies: Callable[[Problem], Mapping[str, PolicyMaker]] = contenders,
    replications: int = 10,
    budget_share: float = 1.0,
    advance: Advance = no_progress,
) -> pl.DataFrame:
    """Every policy on every problem and replication: a row each, paired by problem and replication.

    The budget is the same for all: `budget_share` of what training every arm to its end costs. A policy that ends without
    reaching the target, also by abstaining, is charged the whole budget. `ratio` is what was charged over what the oracle
    pays. Compute spent on arms that came to nothing counts.
    """
    rows = []
    for problem in solvable:
        for number in range(replications):
            drawn = problem.replication(number)
            for name, maker in policies(drawn).items():
                rows.append(_row(drawn, name, maker, number, budget_share))
            advance(1)
    return pl.DataFrame(rows, infer_schema_length=None)


def _row(problem: Problem, name: str, maker: PolicyMaker, number: int, budget_share: float) -> dict[str, object]:
    world, budget = problem.world, budget_share * problem.world.total_cost
    outcome = allocate(world, maker, target=problem.target, budget=budget, seed=number)
    charged = outcome.spent if outcome.crossed else budget
    best = world.cheapest(problem.target)
    return {
        "task": problem.task,
        "share": problem.share,
        "target": problem.target,
        "reaching": problem.reaching,
        "policy": name,
        "replication": number,
        "charged": charged,
        "ratio": None if best is None else charged / best,
        **_ending(outcome),
    }


def _ending(outcome: Outcome) -> dict[str, object]:
    last = outcome.audit[-1].reason if outcome.audit else ""
    return {
        "crossed": outcome.crossed,
        "abstained": outcome.abstained,
        "distrusted": last.startswith("promised"),
        "decisions": len(outcome.audit),
    }


def over_oracle(raced: pl.DataFrame, policy: str, *, seed: int = 0) -> Effect:
    """How many times the oracle's compute a policy needs: geometric mean over tasks, with its interval."""
    logs = _task_means(raced, policy, pl.col("ratio").log())
    return _factor(logs, seed=seed, control="oracle", metric=f"compute of {policy} / compute of the oracle")


def saving(raced: pl.DataFrame, policy: str, against: str, *, seed: int = 0) -> Effect:
    """How many times the compute of `policy` the comparator `against` needs, paired by problem and replication.

    Above 1: the policy needs less. Geometric mean; the unit of the interval is the task (its targets and replications are
    averaged first), since targets on one curve and parts of one set of arms are not independent.
    """
    ours, theirs = (_task_means(raced, name, pl.col("charged").log()) for name in (policy, against))
    return _factor(theirs - ours, seed=seed, control=against, metric=f"compute of {against} / compute of {policy}")


def _task_means(raced: pl.DataFrame, policy: str, value: pl.Expr) -> np.ndarray:
    rows = raced.filter(pl.col("policy") == policy)
    if rows.is_empty():
        raise ConfigError(f"no policy '{policy}' was compared; there are {', '.join(sorted(set(raced['policy'])))}")
    return rows.group_by("task").agg(value.mean().alias("mean")).sort("task")["mean"].to_numpy()


def _factor(logs: np.ndarray, *, seed: int, control: str, metric: str) -> Effect:
    if len(logs) < 2:
        raise ConfigError("one task leaves no interval: compare on at least two tasks (or planted worlds)")
    mean = bootstrap_mean(logs, seed=seed, unit="task", control_name=control)
    return Effect(
        estimate=float(np.exp(mean.estimate)),
        low=float(np.exp(mean.low)),
        high=float(np.exp(mean.high)),
        n=mean.n,
        unit="task",
        control=control,
        metric=metric,
        note=mean.note,
    )
