"""The mechanism study: from text to a causal claim about which data made a head, on one screen."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from imprint.attribution import Attribution, Scores, TopRows, ranking
from imprint.corpus import Packed
from imprint.emergence import Onset, inside_transition
from imprint.errors import ImprintError
from imprint.interventions.data import load_rows
from imprint.mechanisms import LocateHeads, Trajectory
from imprint.runs import Executor, Reporter, Step, Store, read_json, silent
from imprint.stats import Claim, Concentration, Verdict, concentration
from imprint.studies.clock import Clock
from imprint.studies.mechanism.arms import Arm, Corpora, branches, corpora, measured, plan_arms, seeds, untouched_run
from imprint.studies.mechanism.claims import draw_claims
from imprint.studies.mechanism.comparison import (
    ArmEffect,
    compare_arms,
    copying_bar,
    curve,
    find_onsets,
    read_trajectories,
)
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import COPYING, KEEP, STRENGTH
from imprint.studies.mechanism.ranking_quality import DomainShare, MethodScore, domain_shares, score_methods
from imprint.studies.mechanism.verdicts import judge_all
from imprint.studies.registration import check_registered, register

STAGES = ("corpus", "train", "locate", "attribute", "intervene", "report")
LEAST_STRENGTH = 0.2
"""Prefix matching that the reference run must reach somewhere, or there is no induction head to attribute."""
INFLUENCE = "contrastive"
"""The probe whose influence (not only its rank) is summed by domain and shown by token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MechanismResult:
    """Everything the study found; the report and the evidence file are written from this."""

    study: MechanismStudy
    registration: str
    packed: Packed
    texts: Path
    """The training corpus as JSONL, for the documents that the report shows."""
    reference_seed: int
    transition: int
    window: tuple[int, int]
    head: str
    location: dict[str, Any]
    trajectories: pl.DataFrame
    onsets: dict[tuple[str, int], Onset]
    scores: Scores
    order: np.ndarray
    """Row indices, highest-ranked first."""
    methods: list[MethodScore]
    domains: list[DomainShare]
    concentration: Concentration
    effects: list[ArmEffect]
    treated_rows: dict[str, int]
    verdicts: list[Verdict]
    claims: list[Claim]
    keys: dict[str, str]
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def run_mechanism_study(
    study: MechanismStudy, out: Path, *, executor: Executor, reporter: Reporter = silent
) -> MechanismResult:
    """Run (or resume) the study in `out` and return what it found; the same call after a crash goes on where it was.

    Raises:
        ConfigError: the folder was registered with other hypotheses.
        ImprintError: no induction head formed in the reference run, so there is nothing to attribute.
    """
    store, clock = Store(out / "store"), Clock.of(out)
    check_registered(study.hypotheses, out)
    with clock.stage("corpus"), reporter.stage("corpus: collect, plant, pack", 2) as advance:
        data = corpora(study)
        packed = Packed.load(store.get(data.train))
        advance(1)
        store.get(data.heldout)
        advance(1)
    registration = register(study.hypotheses, out)
    with clock.stage("train"):
        untouched = _train(study, data, store, executor, reporter)
    with clock.stage("locate"):
        table = read_trajectories(untouched)
        reference, transition, window = choose_window(study, table)
        locating = _locate(study, reference, store, reporter)
        location = read_json(store.get(locating) / "location.json")
        head = _target(location)
    with clock.stage("attribute"):
        attribution = Attribution(
            run=untouched_run(study, data.train, reference),
            step=transition,
            packed=data.train,
            head=head,
            probe=study.probe,
            options=study.attribution,
        )
        scored = _attribute(attribution, store, len(packed), reporter)
        values = ranking(scored, study.ranking)
        top = TopRows(attribution=attribution, ranking=study.ranking, fraction=study.interventions.fraction)
        chosen = load_rows(store.get(top))
        scores = Scores.load(scored)
        methods = score_methods(scored, packed, fraction=study.interventions.fraction)
        domains = domain_shares(scores.of(INFLUENCE), packed, chosen)
        concentrated = concentration(scores.of(INFLUENCE), seed=0)
    with clock.stage("intervene"):
        arms = plan_arms(study, attribution, data)
        retrained = _intervene(study, arms, data, window, top, store, executor, reporter)
    with clock.stage("report"):
        table = read_trajectories({**untouched, **retrained})
        chance, items = copying_bar(study.probe, packed.context)
        onsets = find_onsets(table, chance=chance, items=items)
        effects = compare_arms(table, onsets, arms, list(seeds(study)))
        verdicts = judge_all(study, table, onsets, methods, list(seeds(study)))
        claims = draw_claims(study, head, location, methods, effects)
    return MechanismResult(
        study=study,
        registration=registration,
        packed=packed,
        texts=store.get(data.train.corpus) / "corpus.jsonl",
        reference_seed=reference,
        transition=transition,
        window=window,
        head=head,
        location=location,
        trajectories=table,
        onsets=onsets,
        scores=scores,
        order=np.argsort(-values, kind="stable"),
        methods=methods,
        domains=domains,
        concentration=concentrated,
        effects=effects,
        treated_rows={arm.name: len(load_rows(store.get(arm.rows))) for arm in arms},
        verdicts=verdicts,
        claims=claims,
        keys={"corpus": data.train.key, "attribution": attribution.key, "locate": locating.key},
        warnings=tuple(warning for entry in store.list() for warning in entry.manifest.warnings),
        seconds=clock.seconds,
    )


def _train(
    study: MechanismStudy, data: Corpora, store: Store, executor: Executor, reporter: Reporter
) -> dict[tuple[str, int], Path]:
    runs = {(KEEP, seed): measured(study, untouched_run(study, data.train, seed), data) for seed in seeds(study)}
    return train_and_measure(runs, "train: untouched runs", store, executor, reporter)


def train_and_measure(
    runs: dict[tuple[str, int], Trajectory], stage: str, store: Store, executor: Executor, reporter: Reporter
) -> dict[tuple[str, int], Path]:
    """Train runs, then measure their checkpoints; the folders of the trajectories by (arm, seed)."""
    trained = [trajectory.run for trajectory in runs.values()]
    units = sum(run.updates for run in trained)
    executor.run(trained, store, progress=reporter, stage=stage, units=units)
    checkpoints = sum(len(run.checkpoints) for run in trained)
    folders = executor.run(list(runs.values()), store, progress=reporter, stage=f"{stage}, measured", units=checkpoints)
    return dict(zip(runs, folders, strict=True))


def choose_window(study: MechanismStudy, table: pl.DataFrame) -> tuple[int, int, tuple[int, int]]:
    """The reference seed, its checkpoint inside the transition, and the steps of the intervention."""
    reference = study.training.first_seed
    steps, strength = curve(table, KEEP, reference, STRENGTH)
    _, copying = curve(table, KEEP, reference, COPYING)
    if max(strength) < LEAST_STRENGTH:
        raise ImprintError(
            f"no induction head formed in the reference run (largest prefix matching {max(strength):.3f}, copy accuracy"
            f" {max(copying):.3f} after {steps[-1]} steps), so there is nothing to attribute; train longer or plant more"
            " novel repeats"
        )
    crossing = next(step for step, value in zip(steps, strength, strict=True) if value > 0.5 * max(strength))
    every = study.training.checkpoint_every
    first = max(every, int(0.6 * crossing) // every * every)
    window = study.interventions.window or (first, study.training.steps)
    return reference, inside_transition(steps, strength), window


def _locate(study: MechanismStudy, reference: int, store: Store, reporter: Reporter) -> LocateHeads:
    data = corpora(study)
    step = LocateHeads(
        run=untouched_run(study, data.train, reference),
        step=study.training.steps,
        context_length=data.train.context,
        probe=study.probe,
    )
    with reporter.stage("locate: heads, nulls, ablations", 1) as advance:
        store.get(step, progress=reporter)
        advance(1)
    return step


def _target(location: dict[str, Any]) -> str:
    """The induction head with the highest score; any head with the highest score when none passed every test."""
    heads = location["heads"]
    named = [head for head in heads if head["role"] == "induction"]
    return str(max(named or heads, key=lambda head: head["prefix_matching"]["estimate"])["head"])


def _attribute(attribution: Attribution, store: Store, rows: int, reporter: Reporter) -> Path:
    units = rows + min(rows, attribution.options.max_rows)
    with reporter.stage("attribute: influence of every document", units) as advance:
        return store.get(attribution, progress=reporter, advance=advance)


def _intervene(
    study: MechanismStudy,
    arms: list[Arm],
    data: Corpora,
    window: tuple[int, int],
    top: Step,
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> dict[tuple[str, int], Path]:
    for arm in arms:
        store.get(arm.rows)
    runs = branches(study, arms, data, window, top, store)
    return train_and_measure(runs, "intervene: retrain the arms", store, executor, reporter)


def workers() -> int:
    """How many processes to train in: one a core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
