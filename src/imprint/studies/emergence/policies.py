"""Which arm to train for an ability: allocation policies replayed on the runs of the study."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from imprint.emergence.allocation import OURS, over_oracle, problems, race, saving, task_worlds
from imprint.errors import ConfigError, InputError
from imprint.runs import Reporter
from imprint.stats import Effect, Hypothesis, Undefined, judge
from imprint.studies.emergence.config import EmergenceStudy
from imprint.studies.emergence.hypotheses import SAVING
from imprint.studies.examined import Examined, NotExamined

UNIFORM = "uniform (compute)"


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocationFinding:
    """What each policy pays until the target, over what an oracle pays; geometric mean over abilities."""

    targets: int
    abilities: tuple[str, ...]
    arms: int
    over_oracle: tuple[tuple[str, Effect], ...]
    """Cheapest first."""
    saving: Effect
    """Compute of uniform allocation over compute of freeze-thaw; above 1: freeze-thaw needs less."""
    saving_p: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "targets": self.targets,
            "abilities": list(self.abilities),
            "arms": self.arms,
            "over_oracle": {name: effect.as_dict() for name, effect in self.over_oracle},
            "saving": self.saving.as_dict(),
            "saving_p": self.saving_p,
        }


def compare_policies(study: EmergenceStudy, history: pl.DataFrame, reporter: Reporter) -> AllocationFinding | Undefined:
    """Every policy on the runs of the study: an arm is a scale under an intervention, its scores means over seeds."""
    assert study.allocating is not None
    key = ["family", "model", "params", "tokens", "flops", "step", "task", "chance"]
    means = history.group_by(key, maintain_order=True).agg(pl.col("score").mean(), pl.col("n").sum())
    try:
        worlds = task_worlds(means, arm=("model", "family"))
        posed = [one for one in problems(worlds, study.allocating.shares) if one.reaching > 0]
    except (ConfigError, InputError) as error:
        return Undefined(reason=str(error))
    abilities = sorted({one.task for one in posed})
    if len(abilities) < 2:
        return Undefined(reason=f"{len(abilities)} ability rises in these runs: policies are compared on two or more")
    count = study.allocating.replications
    with reporter.stage("replay allocation policies", len(posed) * count) as advance:
        raced = race(posed, replications=count, advance=advance)
    names = list(dict.fromkeys(raced["policy"]))
    ratios = {name: over_oracle(raced, name, seed=study.seed) for name in names}
    found = replace(saving(raced, OURS, UNIFORM, seed=study.seed), metric=SAVING)
    return AllocationFinding(
        targets=len(posed),
        abilities=tuple(abilities),
        arms=max(len(one.world.arms) for one in posed),
        over_oracle=tuple(sorted(ratios.items(), key=lambda pair: pair[1].estimate)),
        saving=found,
        saving_p=_p(raced),
    )


def _p(raced: pl.DataFrame) -> float:
    """One-sided t test over abilities of the mean log ratio of compute against 0."""
    by_task = (
        raced.filter(pl.col("policy").is_in([OURS, UNIFORM]))
        .group_by("task", "policy")
        .agg(pl.col("charged").log().mean())
    )
    wide = by_task.pivot("policy", index="task", values="charged").sort("task")
    difference = (wide[UNIFORM] - wide[OURS]).to_numpy()
    if np.ptp(difference) == 0:
        return float(difference[0] <= 0)
    return float(stats.ttest_1samp(difference, 0.0, alternative="greater").pvalue)


def judge_allocation(hypothesis: Hypothesis, found: AllocationFinding | Undefined) -> Examined:
    """The verdict of the hypothesis about allocation."""
    if isinstance(found, Undefined):
        return NotExamined.of(hypothesis, found.reason)
    return judge(hypothesis, found.saving, found.saving_p)
