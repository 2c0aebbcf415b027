"""Allocation policies on a table of recorded runs: the whole replay, as a table of policies and sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from imprint.emergence.allocation import (
    OURS,
    AuditLog,
    Comparison,
    Prior,
    Problem,
    TaskWorld,
    allocate,
    compare,
    contenders,
    freeze_thaw,
    history_of,
    over_oracle,
    problems,
    race,
    rank_sentence,
    read_history,
    task_worlds,
)
from imprint.errors import ConfigError
from imprint.runs import Reporter, silent
from imprint.stats import Effect

PriorName = Literal["learned", "default"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRow:
    """One policy over all problems."""

    policy: str
    ratio: Effect
    """Compute over the oracle's: geometric mean over tasks."""
    reached: float
    """Share of replays in which the target was reached within the budget."""
    abstained: float
    distrusted: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay found."""

    problems: int
    tasks: int
    replications: int
    budget: float
    policies: tuple[PolicyRow, ...]
    comparisons: tuple[Comparison, ...]
    """Halving against uniform, and freeze-thaw against every other policy."""
    ranks: str
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {
            "problems": self.problems,
            "tasks": self.tasks,
            "replications": self.replications,
            "budget": self.budget,
            "policies": [
                {
                    "policy": row.policy,
                    "ratio": row.ratio.as_dict(),
                    "reached": row.reached,
                    "abstained": row.abstained,
                    "distrusted": row.distrusted,
                }
                for row in self.policies
            ],
            "comparisons": [
                {
                    "policy": one.policy,
                    "against": one.against,
                    "word": one.word,
                    "saving": one.saving.as_dict(),
                    "sentence": one.sentence,
                }
                for one in self.comparisons
            ],
            "ranks": self.ranks,
            "notes": list(self.notes),
        }


def replay_history(
    history: Path,
    *,
    arm: Sequence[str] = ("model",),
    where: Sequence[str] = (),
    task: Sequence[str] = (),
    share: Sequence[float] = (0.35, 0.6, 0.85),
    target: float | None = None,
    budget: float = 1.0,
    replications: int = 10,
    prior: PriorName = "learned",
    audit: Path | None = None,
    reporter: Reporter = silent,
) -> Replayed:
    """Replay every policy on a table of scores; `where` holds COLUMN=VALUE conditions.

    With `prior="learned"` freeze-thaw meets every task with what the other tasks of the replay taught, never that task itself;
    with "default" it knows nothing of any.

    Raises:
        ConfigError: the table or an option cannot be used, or no arm ever reaches a target.
    """
    if not 0 < budget <= 1:
        raise ConfigError(f"a budget of {budget} of all training is not above 0 and at most 1")
    worlds = task_worlds(read_history(history, conditions(where)), arm=arm, tasks=task)
    posed = _posed(worlds, share, target)
    solvable = [one for one in posed if one.reaching > 0]
    if len({one.task for one in solvable}) < 2:
        raise ConfigError("fewer than two tasks have an arm that reaches the target: lower it, or give more tasks")
    with reporter.stage("replay allocation policies", len(solvable) * replications) as advance:
        taught = taught_priors(worlds) if prior == "learned" else None
        policies = partial(contenders, taught=taught)
        raced = race(solvable, policies=policies, replications=replications, budget_share=budget, advance=advance)
    if audit is not None:
        write_audit(solvable, budget, audit, taught)
    return summarise(raced, solvable, replications, budget, _notes(worlds, len(posed) - len(solvable)))


def taught_priors(worlds: Sequence[TaskWorld]) -> dict[str, Prior]:
    """For every task the prior that all other tasks teach."""
    base = Prior()
    history = history_of(worlds, base)
    return {one.task: history.prior(base, without=one.task) for one in worlds}


def conditions(where: Sequence[str]) -> dict[str, str]:
    """COLUMN=VALUE texts as a mapping."""
    pairs = [text.partition("=") for text in where]
    wrong = [text for text, (column, sign, _) in zip(where, pairs, strict=True) if not column or not sign]
    if wrong:
        raise ConfigError(f"--where {wrong[0]}: write COLUMN=VALUE, such as variant=zero-shot")
    return {column: value for column, _, value in pairs}


def _posed(worlds: Sequence[TaskWorld], share: Sequence[float], target: float | None) -> list[Problem]:
    if target is None:
        return problems(worlds, share)
    return [Problem(task=one.task, share=None, target=target, world=one.world) for one in worlds]


def _notes(worlds: Sequence[TaskWorld], unsolved: int) -> tuple[str, ...]:
    dropped = sum(one.dropped for one in worlds)
    return (
        *([f"{dropped} rows without a score, a checkpoint or a cost were left out."] if dropped else []),
        *([f"{unsolved} targets that no arm reaches were left out."] if unsolved else []),
    )


def write_audit(
    solvable: Sequence[Problem], budget: float, path: Path, taught: Mapping[str, Prior] | None = None
) -> None:
    """Freeze-thaw's decisions on all arms of every problem, one after another, into one JSONL file."""
    log = AuditLog(path)
    for one in solvable:
        policy = freeze_thaw(prior=None if taught is None else taught[one.task])
        allocate(one.world, policy, target=one.target, budget=budget * one.world.total_cost, seed=0, on_row=log)


def summarise(
    raced: pl.DataFrame, solvable: Sequence[Problem], replications: int, budget: float, notes: Sequence[str] = ()
) -> Replayed:
    """A race as a table of policies, cheapest first, and sentences."""
    names = list(dict.fromkeys(raced["policy"]))
    rows = sorted((_policy_row(raced, name) for name in names), key=lambda row: row.ratio.estimate)
    halving = [("successive halving 3", "uniform (tokens)")] if "successive halving 3" in names else []
    others = [(OURS, name) for name in names if name not in (OURS, "oracle")]
    return Replayed(
        problems=len(solvable),
        tasks=len({one.task for one in solvable}),
        replications=replications,
        budget=budget,
        policies=tuple(rows),
        comparisons=tuple(compare(raced, [*halving, *others])),
        ranks=rank_sentence(solvable),
        notes=tuple(notes),
    )


def _policy_row(raced: pl.DataFrame, name: str) -> PolicyRow:
    mean: Mapping[str, float] = (
        raced.filter(pl.col("policy") == name)
        .select(pl.col("crossed", "abstained", "distrusted").mean())
        .row(0, named=True)
    )
    return PolicyRow(
        policy=name,
        ratio=over_oracle(raced, name),
        reached=mean["crossed"],
        abstained=mean["abstained"],
        distrusted=mean["distrusted"],
    )
