"""H3: which conversations the outcome is traced back to, and what it does without them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy import stats
from scipy.stats import rankdata

from imprint.attribution import Agreement
from imprint.attribution.stages import (
    NamedRows,
    StageDatamodel,
    StageMetagradient,
    StageScores,
    StageTracIn,
    chain,
    stage_agreements,
    without,
)
from imprint.capabilities import ItemMargins
from imprint.models.finetuning import FineTuning
from imprint.runs import Executor, Reporter, Step, Store, derive
from imprint.stats import Effect, Hypothesis, Undefined, judge_gate
from imprint.stats.gates import shift_gate
from imprint.studies.examined import Examined, NotExamined
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.options import RemovalOptions
from imprint.studies.susceptibility.outcomes import item_values, once, run_stage
from imprint.studies.susceptibility.pipelines import Pipeline, evaluation_pairs, measured

Arm = Literal["untouched", "drivers", "opposite", "random"]
EDITED: tuple[Arm, ...] = ("drivers", "opposite", "random")
"""Without the rows that pull the outcome the condition's way, without those that pull the other way, without any others."""
_CONTROLS: tuple[Arm, ...] = ("random", "untouched")
_PAIRS: tuple[tuple[Arm, Arm], ...] = (
    ("drivers", "random"),
    ("drivers", "untouched"),
    ("opposite", "random"),
    ("random", "untouched"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What one condition's outcome does without some of its conversations."""

    condition: str
    above: bool
    """The condition lies above the mean of all, so its drivers are the rows with the highest scores."""
    scores: tuple[StageScores, ...]
    """By method, the one that chose first; the ranks' means where several pipelines were scored."""
    agreements: tuple[Agreement, ...]
    drivers: tuple[str, ...]
    """Conversations, the strongest first."""
    outcomes: Mapping[Arm, Float64[np.ndarray, "seed"]]
    """By pipeline seed."""
    shift: Effect
    """Outcome without the drivers less that without random rows, or less the untouched one, whichever is smaller: towards
    the other conditions, in sd of a pipeline."""
    p: float
    """One-sided, of no shift, not corrected for the number of conditions."""
    others: Mapping[str, Effect]
    """The shift of every pair of arms, such as "drivers, random"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalFinding:
    """The removals in every condition that was chosen."""

    removals: tuple[Removal, ...]
    sd: float
    """Of a pipeline, pooled over all conditions, in the outcome's unit."""
    freedom: int
    fraction: float


def remove_and_rerun(
    study: SusceptibilityStudy,
    options: RemovalOptions,
    ran: Sequence[Pipeline],
    means: Mapping[str, float],
    spread: tuple[float, int],
    *,
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> RemovalFinding | Undefined:
    """Score the chosen conditions' conversations, rerun their pipelines without some, and set the arms side by side."""
    sd, freedom = spread
    if sd <= 0:
        return Undefined(
            reason="the pipelines of a condition do not vary, so a shift cannot be put in units of their sd"
        )
    chosen = options.conditions or (max(means, key=lambda one: means[one]), min(means, key=lambda one: means[one]))
    own = {name: [one for one in ran if one.condition == name] for name in dict.fromkeys(chosen)}
    found = {name: _scored(study, options, lines, store, executor, reporter) for name, lines in own.items()}
    centre = float(np.mean(list(means.values())))
    plans = [_Plan.of(study, options, own[name], found[name], means[name] > centre) for name in own]
    _rerun(study, plans, store, executor, reporter)
    removals = tuple(
        _removal(study, plan, found[plan.condition], store, executor, reporter, sd, freedom) for plan in plans
    )
    return RemovalFinding(removals=removals, sd=sd, freedom=freedom, fraction=options.fraction)


def judge_removal(hypothesis: Hypothesis, found: RemovalFinding | Undefined) -> Examined:
    """The largest shift of the chosen conditions against the gate, its p corrected for their number (Bonferroni)."""
    if isinstance(found, Undefined):
        return NotExamined.of(hypothesis, found.reason)
    best = min(found.removals, key=lambda one: (one.p, -one.shift.estimate))
    note = f"in {best.condition}, {len(best.drivers)} conversations, against {best.shift.control}"
    if hypothesis.threshold > 0:
        gate = shift_gate(
            hypothesis.threshold,
            treated=best.shift.n,
            control=max(best.shift.n, 2),
            alternative="greater",
            sd_known=True,
            scalars=len(found.removals),
        )
        note += f"; a shift of {hypothesis.threshold:g} sd alone passes by chance in {gate.family_rate:.1%}"
    fields = {**best.shift.as_dict(), "metric": hypothesis.metric, "note": note}
    return judge_gate(hypothesis, Effect(**fields), min(1.0, best.p * len(found.removals)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    condition: str
    above: bool
    fraction: float
    drivers: tuple[str, ...]
    untouched: tuple[FineTuning, ...]
    arms: Mapping[Arm, tuple[FineTuning, ...]]
    """Last stages by seed."""

    @staticmethod
    def of(
        study: SusceptibilityStudy,
        options: RemovalOptions,
        lines: Sequence[Pipeline],
        scores: Sequence[StageScores],
        above: bool,
    ) -> "_Plan":
        first, back = scores[0], _back(study)
        drivers, opposite = first.top(options.fraction), first.bottom(options.fraction)
        drivers, opposite = (drivers, opposite) if above else (opposite, drivers)
        rows, name = lines[0].stages[study.condition_stage].rows, lines[0].condition

        def arm(kind: Arm, one: Pipeline) -> FineTuning:
            drawn = first.random(options.fraction, derive(study.seed, name, one.seed), without=drivers)
            names = {"drivers": drivers, "opposite": opposite, "random": drawn}[kind]
            return without(one.finals[0], back, NamedRows(rows=rows, names=names))

        return _Plan(
            condition=name,
            above=above,
            fraction=options.fraction,
            drivers=drivers,
            untouched=tuple(one.finals[0] for one in lines),
            arms={kind: tuple(arm(kind, one) for one in lines) for kind in EDITED},
        )


def _back(study: SusceptibilityStudy) -> int:
    return len(study.stages) - 1 - study.condition_stage


def _scored(
    study: SusceptibilityStudy,
    options: RemovalOptions,
    lines: Sequence[Pipeline],
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> tuple[StageScores, ...]:
    methods = list(dict.fromkeys((options.method, *options.also)))
    finals = [one.finals[0] for one in lines[: options.attribution_seeds]]
    steps = {(method, final.key): _scoring(study, options, method, final) for method in methods for final in finals}
    name = f"attribute: {lines[0].condition}"
    executor.run(list(steps.values()), store, progress=reporter, stage=name, units=len(steps))
    return tuple(
        _mean_ranks([StageScores.load(store.path(steps[method, final.key])) for final in finals]) for method in methods
    )


def _scoring(study: SusceptibilityStudy, options: RemovalOptions, method: str, final: FineTuning) -> Step:
    fields = {"final": final, "back": _back(study), "pairs": evaluation_pairs(study, study.outcomes[0])}
    if method == "datamodel":
        return StageDatamodel.model_validate({**fields, "num_subsets": options.subsets, "seed": study.seed})
    kind = StageTracIn if method == "tracin" else StageMetagradient
    return kind.model_validate({**fields, "device": study.pipelines.device})


def _mean_ranks(scores: Sequence[StageScores]) -> StageScores:
    """One pipeline's scores as they are; of several the mean of the ranks, whose units do not matter."""
    if len(scores) == 1:
        return scores[0]
    ranks = np.mean([rankdata(one.values) for one in scores], axis=0)
    words = f"{scores[0].method}, mean rank over {len(scores)} pipelines"
    return StageScores(ids=scores[0].ids, values=ranks.astype(np.float64), method=words, checks=scores[0].checks)


def _rerun(
    study: SusceptibilityStudy, plans: Sequence[_Plan], store: Store, executor: Executor, reporter: Reporter
) -> None:
    finals = [final for plan in plans for arm in plan.arms.values() for final in arm]
    lines = [chain(final) for final in finals]
    orders = once([step for line in lines for stage in line if (step := stage.stream) is not None])
    executor.run(orders, store, progress=reporter, stage="leave rows out", units=len(orders))
    for place in range(study.condition_stage, len(study.stages)):
        level = once([line[place] for line in lines])
        run_stage(level, store, executor, reporter, stage=f"without rows: {study.stages[place].name}")


def _removal(
    study: SusceptibilityStudy,
    plan: _Plan,
    scores: tuple[StageScores, ...],
    store: Store,
    executor: Executor,
    reporter: Reporter,
    sd: float,
    freedom: int,
) -> Removal:
    arms: dict[Arm, tuple[FineTuning, ...]] = {"untouched": plan.untouched, **plan.arms}
    steps = [measured(study, study.outcomes[0], final) for arm in arms.values() for final in arm]
    folders = executor.run(steps, store, progress=reporter, stage=f"measure: {plan.condition}", units=len(steps))
    means = [item_values(study.outcomes[0], ItemMargins.load(folder)).mean() for folder in folders]
    values = np.array(means, dtype=np.float64).reshape(len(arms), -1)
    outcomes = dict(zip(arms, values, strict=True))

    def shift(treated: Arm, control: Arm) -> tuple[Effect, float]:
        toward = -1.0 if plan.above else 1.0
        return _shift(toward * (outcomes[treated] - outcomes[control]) / sd, freedom, f"without {treated}", control)

    effect, p = max((shift("drivers", control) for control in _CONTROLS), key=lambda one: one[1])
    return Removal(
        condition=plan.condition,
        above=plan.above,
        scores=scores,
        agreements=() if len(scores) < 2 else stage_agreements(scores, fraction=plan.fraction),
        drivers=plan.drivers,
        outcomes=outcomes,
        shift=effect,
        p=p,
        others={f"{treated}, {control}": shift(treated, control)[0] for treated, control in _PAIRS},
    )


def _shift(differences: Float64[np.ndarray, "seed"], freedom: int, metric: str, control: str) -> tuple[Effect, float]:
    """The mean difference in sd of a pipeline, and its one-sided p; the arms count as independent pipelines.

    Two arms of one seed share all but some rows, so this error, sqrt(2 / seeds), is too large rather than too small.
    """
    mean, error = float(differences.mean()), math.sqrt(2 / len(differences))
    reach = float(stats.t.ppf(0.975, freedom)) * error
    effect = Effect(
        estimate=mean,
        low=mean - reach,
        high=mean + reach,
        n=len(differences),
        unit="pipeline seed",
        control=control,
        metric=f"{metric}, sd of a pipeline",
    )
    return effect, float(stats.t.sf(mean / error, freedom))
