"""The perturbation study on one screen: clusters, what belongs to them, perturbations beside controls, the matrix Φ."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imprint.capabilities import read_items
from imprint.capabilities.steps import ITEMS
from imprint.corpus.clusters import Clustering
from imprint.errors import ConfigError, ImprintError
from imprint.models import objective_of
from imprint.runs import Executor, Reporter, Step, Store, read_json, silent
from imprint.stats import Claim, InfluenceMatrix, Verdict
from imprint.studies.clock import Clock
from imprint.studies.perturbation.claims import draw_claims
from imprint.studies.perturbation.config import PerturbationStudy
from imprint.studies.perturbation.distances import DISTANCES_FILE
from imprint.studies.perturbation.filtering import KEPT_FILE, FilteredClusters
from imprint.studies.perturbation.findings import (
    Cell,
    FamilyFinding,
    Pools,
    Responses,
    find_cells,
    find_family,
    matrix_of,
    pools_of,
    read_responses,
    responses_without_facts,
)
from imprint.studies.perturbation.plan import Groundwork, Perturbations, groundwork, perturbations
from imprint.studies.perturbation.registration import check_hypotheses, register_design
from imprint.studies.perturbation.space import Space
from imprint.studies.perturbation.text_checks import TextCheck, read_check
from imprint.studies.perturbation.verdicts import judge_all
from imprint.studies.registration import check_registered, register

EVERYTHING = "everything"
"""What the noise in all dimensions of all tokens is called."""
FEWEST_DOCUMENTS = 20
"""Documents that a cluster must have to be studied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationResult:
    """Everything the study found; the report and the evidence file are written from this."""

    study: PerturbationStudy
    registration: str
    clusters: tuple[str, ...]
    space: Space
    characters: Path
    """Folder of the clusters' characterisation."""
    passages: Path
    """Folder of the passages of every cluster."""
    sheet: Path
    """Folder of the validation sheet."""
    shares: dict[str, float]
    """Share of all documents that lies in each cluster."""
    base: pl.DataFrame
    """The items of the unperturbed model."""
    cells: list[Cell]
    matrix: InfluenceMatrix
    everything: list[FamilyFinding]
    layers: dict[str, list[Responses]]
    """By site."""
    token_shares: list[Responses]
    checks: list[TextCheck]
    distances: dict[str, dict[str, Any]]
    """By ability and cluster."""
    verdicts: list[Verdict]
    claims: list[Claim]
    keys: dict[str, str]
    warnings: tuple[str, ...]
    seconds: dict[str, float]


def run_perturbation_study(
    study: PerturbationStudy, out: Path, *, executor: Executor, reporter: Reporter = silent
) -> PerturbationResult:
    """Run (or resume) the study in `out` and return what it found; the same call after a crash goes on where it was.

    Raises:
        ConfigError: the folder was registered with other hypotheses, or a file of the abilities is missing.
        CorpusError: a cluster has too few documents.
    """
    ground = groundwork(study)
    check_registered(study.hypotheses, out)
    register_design(study, out)
    registration = register(study.hypotheses, out)
    store, clock = Store(out / "store"), Clock.of(out)

    with clock.stage("clusters"):
        _get(store, reporter, "find clusters", ground.clustering, ground.characters, ground.sheet)
        clusters, shares = _named(Clustering.load(store.path(ground.clustering)))
        check_hypotheses(study.hypotheses, study.abilities.suites, clusters)
    with clock.stage("model"):
        _get(store, reporter, "open the model", ground.model, ground.passages)
        clusters = _kept(store, reporter, ground.filtered, clusters)
        plan = perturbations(study, ground, clusters, objective_of(store.path(ground.model)))
    with clock.stage("representation"):
        spaces = [ground.space, *ground.layers]
        executor.run(spaces, store, progress=reporter, stage="find what belongs to each cluster", units=len(spaces))
    with clock.stage("abilities"):
        _get(store, reporter, "measure the model's abilities", ground.evaluation)
        base = read_items(store.path(ground.evaluation) / ITEMS)
    with clock.stage("perturb"):
        passes = sum(step.passes for step in plan.scored)
        executor.run(plan.scored, store, progress=reporter, stage="perturb and measure again", units=passes)
    with clock.stage("check"):
        checks = list(plan.checks.values())
        executor.run(checks, store, progress=reporter, stage="check what each perturbation hits", units=len(checks))
        distances = _distances(store, reporter, plan)
    with clock.stage("report"):
        responses = _responses(store, plan)
        pools = pools_of(responses)
        families = _families(responses, pools, study.perturbations.seed, reporter)
        read = [found for step in checks if (found := read_check(store.path(step), step)) is not None]
        cells, space = find_cells(families, pools, seed=study.perturbations.seed), Space.load(store.path(ground.space))
        matrix = matrix_of(cells)
        verdicts = judge_all(study, cells, read)
        claims = draw_claims(study, space, cells, matrix)
    return PerturbationResult(
        study=study,
        registration=registration,
        clusters=clusters,
        space=space,
        characters=store.path(ground.characters),
        passages=store.path(ground.passages),
        sheet=store.path(ground.sheet),
        shares=shares,
        base=base,
        cells=cells,
        matrix=matrix,
        everything=_of_everything(store, plan, study.perturbations.seed),
        layers=_by_layer(store, plan),
        token_shares=[
            one
            for cluster, step in plan.shares.items()
            for one in responses_without_facts(store.path(step), cluster=cluster, family="share of tokens")
        ],
        checks=read,
        distances=distances,
        verdicts=verdicts,
        claims=claims,
        keys={
            "clusters": ground.clustering.key,
            "model": ground.model.key,
            "representation": ground.space.key,
            "abilities": ground.evaluation.key,
        },
        warnings=_warnings(store, ground, plan),
        seconds=clock.seconds,
    )


def _get(store: Store, reporter: Reporter, stage: str, *steps: Step) -> None:
    with reporter.stage(stage, len(steps)) as advance:
        for step in steps:
            store.get(step, progress=reporter)
            advance(1)


def _named(clustering: Clustering) -> tuple[tuple[str, ...], dict[str, float]]:
    """The clusters' names, and the share of all documents that each holds."""
    for name in clustering.names:
        clustering.members(name, minimum=FEWEST_DOCUMENTS)
    return clustering.names, {name: clustering.share(name) for name in clustering.names}


def _warnings(store: Store, ground: Groundwork, plan: Perturbations) -> tuple[str, ...]:
    """What the steps of this study warned of, each once; the store may hold other studies' steps too."""
    mine = {step.key for step in (*ground.steps, *plan.steps)}
    found = (warning for entry in store.list() if entry.key in mine for warning in entry.manifest.warnings)
    return tuple(dict.fromkeys(found))


def _kept(
    store: Store, reporter: Reporter, filtered: FilteredClusters | None, clusters: tuple[str, ...]
) -> tuple[str, ...]:
    """The clusters in which the named heads are more active; all of them if none were named."""
    if filtered is None:
        return clusters
    _get(store, reporter, "filter the clusters by heads", filtered)
    kept: list[str] = read_json(store.path(filtered) / KEPT_FILE)
    if not kept:
        raise ConfigError(
            f"no cluster is left: in none of {', '.join(clusters)} are the heads {', '.join(filtered.heads)} more active"
            " than elsewhere; name other heads, or leave out clusters.heads"
        )
    return tuple(name for name in clusters if name in kept)


def _distances(store: Store, reporter: Reporter, plan: Perturbations) -> dict[str, dict[str, Any]]:
    if plan.distances is None:
        return {}
    _get(store, reporter, "compare clusters with prompts", plan.distances)
    found: dict[str, dict[str, Any]] = read_json(store.path(plan.distances) / DISTANCES_FILE)
    return found


def _responses(store: Store, plan: Perturbations) -> list[Responses]:
    found = [
        one
        for (cluster, family), step in plan.items.items()
        for one in read_responses(store.path(step), cluster=cluster, family=family)
    ]
    if not found:
        raise ImprintError(
            "no perturbation could be tried: nothing at the site is significantly associated with any cluster; give more"
            " documents, another site, or the family 'shift', which needs no associated dimensions"
        )
    return found


def _families(responses: Sequence[Responses], pools: Pools, seed: int, reporter: Reporter) -> list[FamilyFinding]:
    found = []
    with reporter.stage("work out effects, controls and dose curves", len(responses)) as advance:
        for one in responses:
            found.append(find_family(one, pools, seed=seed))
            advance(1)
    return found


def _of_everything(store: Store, plan: Perturbations, seed: int) -> list[FamilyFinding]:
    if plan.everything is None:
        return []
    read = read_responses(store.path(plan.everything), cluster=EVERYTHING, family="noise")
    return [find_family(one, {}, seed=seed) for one in read]


def _by_layer(store: Store, plan: Perturbations) -> dict[str, list[Responses]]:
    found: dict[str, list[Responses]] = {}
    for (site, cluster), step in plan.layers.items():
        found.setdefault(site, []).extend(read_responses(store.path(step), cluster=cluster, family=step.family))
    return found
