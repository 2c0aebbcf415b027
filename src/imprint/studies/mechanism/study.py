"""The mechanism study: from text to a causal claim about which data made a head, on one screen."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from imprint.attribution import Scores, ranking
from imprint.corpus import CORPUS_FILE, Corpus, Packed
from imprint.emergence import Onset, transition_checkpoints
from imprint.interventions.data import load_rows
from imprint.runs import Executor, Reporter, Store, silent
from imprint.stats import Claim, Concentration, Effect, Undefined, Verdict, concentration
from imprint.studies.clock import Clock
from imprint.studies.mechanism.arms import corpora, seeds
from imprint.studies.mechanism.attributed import AttributedHead, attribute_heads, find_heads, train_untouched_runs
from imprint.studies.mechanism.character import Character, characterise
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
from imprint.studies.mechanism.downstream import measure_downstream
from imprint.studies.mechanism.gains import Gain, gains
from imprint.studies.mechanism.icl_link import IclLink, icl_links
from imprint.studies.mechanism.metrics import KEEP, STRENGTH
from imprint.studies.mechanism.options import PLANTED
from imprint.studies.mechanism.plans import Plan, plan_all, retrain_all
from imprint.studies.mechanism.ranking_quality import DomainShare, MethodScore, domain_shares, score_methods
from imprint.studies.mechanism.scales import ScaleFinding, cost_exponent, here_and_there
from imprint.studies.mechanism.synthesis import WrittenText, written_texts
from imprint.studies.mechanism.verdicts import judge_all
from imprint.studies.mechanism.window import WindowFindings, window_findings
from imprint.studies.registration import check_registered, register

STAGES = ("corpus", "train", "locate", "attribute", "intervene", "report")
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
    character: Character | None = None
    """What the highest-ranked documents are."""
    over_window: WindowFindings | None = None
    """Influence at several checkpoints and on several heads, where the study asks for it."""
    icl: Sequence[IclLink] = ()
    written: Sequence[WrittenText] = ()
    scales: Sequence[ScaleFinding] = ()
    """One line a model, smallest first; empty without other scales."""
    gains: Sequence[Gain] = ()
    cost: Effect | Undefined | None = None
    """The power of the parameters by which attribution's cost grows; None for one size."""


def run_mechanism_study(
    study: MechanismStudy, out: Path, *, executor: Executor, reporter: Reporter = silent
) -> MechanismResult:
    """Run (or resume) the study in `out` and return what it found; the same call after a crash goes on where it was.

    Raises:
        ConfigError: the folder was registered with other hypotheses.
        ImprintError: no induction head formed in a reference run, so there is nothing to attribute.
    """
    store, clock = Store(out / "store"), Clock.of(out)
    check_registered(study.hypotheses, out)
    with clock.stage("corpus"), reporter.stage("corpus: collect, plant, pack", 2) as advance:
        data = corpora(study)
        for part in (data.train, data.heldout):
            store.get(part)
            advance(1)
    registration = register(study.hypotheses, out)
    studies = [study, *(study.at(scale) for scale in study.scales)]
    with clock.stage("train"):
        untouched = [train_untouched_runs(one, data, store, executor, reporter) for one in studies]
    with clock.stage("locate"):
        located = find_heads(studies, untouched, store, executor, reporter)
    with clock.stage("attribute"):
        heads = attribute_heads(studies, untouched, located, store, executor, reporter)
        over_window = _over_window(heads[0], store, executor, reporter)
    with clock.stage("intervene"):
        plans = plan_all(heads, store)
        folders = retrain_all(plans, store, executor, reporter)
        harmed = measure_downstream(study, plans, store, executor, reporter)
    with clock.stage("report"):
        table = pl.concat([read_trajectories(folders), harmed])
        found = _conclude(study, plans, table, registration, store)
        character = _characterise(found, heads[0])
    return replace(found, character=character, over_window=over_window, seconds=clock.seconds)


def _over_window(own: AttributedHead, store: Store, executor: Executor, reporter: Reporter) -> WindowFindings | None:
    """Influence at several checkpoints of the reference run's transition, and on every head at the middle one."""
    study = own.study
    if study.checkpoints == 1:
        return None
    table = read_trajectories(own.untouched)
    steps, strength = curve(table, KEEP, own.reference_seed, STRENGTH)
    return window_findings(
        own.attribution.run,
        own.attribution.packed,
        transition_checkpoints(steps, strength, study.checkpoints),
        own.transition,
        own.head,
        own.location["heads"],
        probe=study.probe,
        options=study.attribution,
        first=own.window[0],
        last=own.window[1],
        fraction=study.interventions.fraction,
        store=store,
        executor=executor,
        reporter=reporter,
    )


def _characterise(found: MechanismResult, own: AttributedHead) -> Character:
    texts = {document.id: document.text for document in Corpus.load(found.texts)}
    return characterise(
        found.packed,
        texts,
        found.order,
        losses=np.load(own.scored / "losses.npy"),
        influence=found.scores.of(INFLUENCE),
        fraction=found.study.interventions.fraction,
        planted=PLANTED,
    )


def _conclude(
    study: MechanismStudy, plans: Sequence[Plan], table: pl.DataFrame, registration: str, store: Store
) -> MechanismResult:
    """What the numbers say, from the trained and measured runs alone."""
    own, options = plans[0].at, study.interventions
    scores, values = Scores.load(own.scored), ranking(own.scored, study.ranking)
    methods = score_methods(own.scored, own.packed, fraction=options.fraction)
    chance, items = copying_bar(study.probe, own.packed.context)
    onsets = find_onsets(table, chance=chance, items=items)
    arms = [arm for plan in plans for arm in plan.arms]
    effects = compare_arms(table, onsets, arms, list(seeds(study)))
    sizes = here_and_there([plan.at for plan in plans], store) if study.scales else []
    return MechanismResult(
        study=study,
        registration=registration,
        packed=own.packed,
        texts=store.get(own.data.train.corpus) / CORPUS_FILE,
        reference_seed=own.reference_seed,
        transition=own.transition,
        window=own.window,
        head=own.head,
        location=own.location,
        trajectories=table,
        onsets=onsets,
        scores=scores,
        order=np.argsort(-values, kind="stable"),
        methods=methods,
        domains=domain_shares(scores.of(INFLUENCE), own.packed, load_rows(store.get(own.top))),
        concentration=concentration(scores.of(INFLUENCE), seed=0),
        effects=effects,
        treated_rows={arm.name: len(load_rows(store.get(arm.rows))) for arm in arms},
        verdicts=judge_all(study, table, onsets, methods, list(seeds(study))),
        claims=draw_claims(study, own.head, own.location, methods, effects),
        icl=icl_links(table.filter(~pl.col("arm").str.contains("@")), seed=0),
        written=[] if plans[0].written is None else written_texts(plans[0].written, store),
        scales=sizes,
        gains=gains(table, plans, list(seeds(study))),
        cost=cost_exponent(sizes) if sizes else None,
        keys={"corpus": own.data.train.key, "attribution": own.attribution.key, "locate": own.locating.key},
        warnings=tuple(dict.fromkeys(warning for entry in store.list() for warning in entry.manifest.warnings)),
        seconds={},
    )


def workers() -> int:
    """How many processes to train in: one a core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
