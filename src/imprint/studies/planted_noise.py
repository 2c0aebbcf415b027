"""Noise worlds: conditions that are draws of the same text, judged by the susceptibility study's own code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.corpus.chat import ChatCorpus, ConditionCorpora
from imprint.corpus.comparison import SURFACE_FILE, SurfaceScalars
from imprint.runs import Executor, Reporter, Store, derive, read_json
from imprint.stats import Hypothesis, Nest
from imprint.studies.clock import Clock
from imprint.studies.planted_pipelines import OUTCOME, PipelineSizes
from imprint.studies.susceptibility import (
    CLASSIFIER,
    SURFACE,
    VARIANCE,
    Examined,
    Named,
    SusceptibilityStudy,
    examine,
    explain,
    judge_variance,
    metric_of,
    supported,
)
from imprint.studies.susceptibility.correlation import judge_correlation, screened
from imprint.studies.susceptibility.outcomes import condition_means, measure_outcomes, run_pipelines
from imprint.studies.susceptibility.pipelines import Pipeline, pipelines
from imprint.studies.susceptibility.study import Inquiry

_SIMULATED_CONDITIONS, _SIMULATED_SEEDS = 5, 3
NO_CLAIM: tuple[Named, ...] = ("nothing to explain", "unknown")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseVerdict:
    """What the study said of one world of noise."""

    named: Named
    surface: bool
    """H1 was supported: without the gate of H4 this would have been a claim."""

    @property
    def claims(self) -> bool:
        """Whether it says that there is anything to explain, even if it cannot say what."""
        return self.named not in NO_CLAIM


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisePool:
    """The trained pipelines that all noise worlds are drawn from."""

    study: SusceptibilityStudy
    ran: tuple[Pipeline, ...]
    table: pl.DataFrame
    surface: Mapping[str, Mapping[str, float]]
    """Surface scalars by condition."""


def train_pool(study: SusceptibilityStudy, store: Store, executor: Executor, reporter: Reporter) -> NoisePool:
    """Every pipeline of the pool, measured, and the surface of its conditions."""
    ran = pipelines(study)
    run_pipelines(study, ran, store, executor, reporter)
    table = measure_outcomes(study, ran, store, executor, reporter)
    parts = tuple(ChatCorpus(paths=files) for files in study.conditions.values())
    attack = study.stages[-1].data
    assert attack != "condition"
    corpus = ConditionCorpora(names=tuple(study.conditions), parts=parts)
    reference = ChatCorpus(paths=tuple(Path(path) for path in attack))
    folder = store.get(SurfaceScalars(corpus=corpus, reference=reference))
    return NoisePool(study=study, ran=tuple(ran), table=table, surface=read_json(folder / SURFACE_FILE))


def judge_noise_worlds(
    pool: NoisePool, sizes: PipelineSizes, store: Store, executor: Executor, reporter: Reporter
) -> list[NoiseVerdict]:
    """The verdict of every noise world: so many of the pool's conditions at random, with all their pipelines.

    The classifier is left out (it names nothing); representation and removal are examined only where a world gets there.

    Trust: worlds share pipelines, so their errors hang together: the count varies more than that of independent worlds.
    """
    rng = np.random.default_rng(derive(pool.study.seed, "noise worlds"))
    found = []
    for _ in range(sizes.noise_worlds):
        chosen = np.sort(rng.permutation(len(pool.study.conditions))[: sizes.conditions])
        names = [list(pool.study.conditions)[number] for number in chosen]
        found.append(_judged(pool, names, store, executor, reporter))
    return found


def _judged(pool: NoisePool, names: list[str], store: Store, executor: Executor, reporter: Reporter) -> NoiseVerdict:
    kept = tuple(one for one in pool.study.hypotheses if one.metric != CLASSIFIER)
    conditions = {name: pool.study.conditions[name] for name in names}
    study = pool.study.model_copy(update={"conditions": conditions, "hypotheses": kept})
    inquiry = Inquiry(
        study=study,
        ran=[one for one in pool.ran if one.condition in conditions],
        table=pool.table.filter(pl.col("condition").is_in(names)),
        store=store,
        executor=executor,
        reporter=reporter,
        clock=Clock.of(store.root),
    )
    means = condition_means(inquiry.table, OUTCOME)
    scalars = {name: {one: pool.surface[name][one] for one in names} for name in study.surface.scalars}

    def judge(hypothesis: Hypothesis) -> Examined:
        if metric_of(hypothesis.metric)[0] == SURFACE:
            return judge_correlation(hypothesis, screened(scalars, {OUTCOME: means}, seed=study.seed))
        return inquiry.judge(hypothesis)

    return _verdict(kept, examine(kept, study.stopping, judge))


def simulated_noise(study: SusceptibilityStudy, worlds: int) -> list[NoiseVerdict]:
    """The verdicts on tables of normal numbers, 5 conditions of 3 pipelines each, with a surface scalar of noise.

    Representation and removal are not simulated: whatever they said, nothing is claimed unless the gate of H4 opens.
    """
    metrics = (SURFACE, VARIANCE)
    kept = tuple(one for one in study.hypotheses if metric_of(one.metric)[0] in metrics)
    names = [f"c{number}" for number in range(_SIMULATED_CONDITIONS)]
    found = []
    for number in range(worlds):
        rng = np.random.default_rng([study.seed, 11, number])
        values = rng.standard_normal((_SIMULATED_CONDITIONS, _SIMULATED_SEEDS))
        scalars = {"noise": dict(zip(names, rng.standard_normal(_SIMULATED_CONDITIONS).tolist(), strict=True))}
        means = {OUTCOME: dict(zip(names, values.mean(1).tolist(), strict=True))}
        nest = Nest(
            values=values.ravel(),
            conditions=np.repeat(names, _SIMULATED_SEEDS),
            pipelines=np.tile(np.arange(_SIMULATED_SEEDS), _SIMULATED_CONDITIONS),
            metric=OUTCOME,
        )
        judged = [
            judge_correlation(one, screened(scalars, means, seed=number))
            if metric_of(one.metric)[0] == SURFACE
            else judge_variance(one, nest, seed=number)
            for one in kept
        ]
        found.append(_verdict(kept, tuple(judged)))
    return found


def _verdict(hypotheses: tuple[Hypothesis, ...], examined: tuple[Examined, ...]) -> NoiseVerdict:
    surface = any(
        supported(found) for one, found in zip(hypotheses, examined, strict=True) if metric_of(one.metric)[0] == SURFACE
    )
    return NoiseVerdict(named=explain(hypotheses, examined, OUTCOME).named, surface=surface)
