"""All steps of a perturbation study, laid out before anything runs."""

from dataclasses import dataclass

from imprint.capabilities import EvaluateModel
from imprint.corpus import FileCorpus
from imprint.corpus.clusters import CharacteriseClusters, ClusterDocuments, CorpusSample, ValidationSheet
from imprint.errors import ConfigError
from imprint.models import ImportedModel
from imprint.models.families import Objective
from imprint.runs import Step
from imprint.studies.perturbation.config import (
    ClusterOptions,
    Family,
    ModelOptions,
    PerturbationOptions,
    PerturbationStudy,
)
from imprint.studies.perturbation.distances import TaskDistances
from imprint.studies.perturbation.filtering import FilteredClusters
from imprint.studies.perturbation.passages import ClusterPassages
from imprint.studies.perturbation.perturbed import PerturbedItems, PerturbedTokens
from imprint.studies.perturbation.space import ClusterSpace
from imprint.studies.perturbation.validation import CheckedPerturbation

LAYER_FAMILY: Family = "ablation"
"""The family that is repeated at other layers."""
LAYER_DRAWS = 2
"""Draws of the control there: it is shown, not tested."""
TEXT_FAMILIES: tuple[Family, ...] = ("ablation", "noise", "shift", "erasure")
"""Families that are defined on plain text, where there is no gold answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Groundwork:
    """What everything else builds on: text, clusters, model, items."""

    corpus: CorpusSample
    clustering: ClusterDocuments
    characters: CharacteriseClusters
    sheet: ValidationSheet
    model: ImportedModel
    passages: ClusterPassages
    evaluation: EvaluateModel
    space: ClusterSpace
    layers: tuple[ClusterSpace, ...]
    filtered: FilteredClusters | None
    """Task-specific filtering, if heads were named."""

    @property
    def steps(self) -> list[Step]:
        """All of them."""
        named = [self.corpus, self.clustering, self.characters, self.sheet, self.model, self.passages, self.evaluation]
        return [*named, self.space, *self.layers, *([] if self.filtered is None else [self.filtered])]


@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbations:
    """Every perturbed evaluation and every check, once the clusters have names."""

    items: dict[tuple[str, Family], PerturbedItems]
    everything: PerturbedItems | None
    """Noise in all dimensions of all tokens."""
    layers: dict[tuple[str, str], PerturbedItems]
    """By site and cluster."""
    shares: dict[str, PerturbedTokens]
    checks: dict[tuple[str, Family], CheckedPerturbation]
    distances: TaskDistances | None

    @property
    def steps(self) -> list[Step]:
        """All of them."""
        return [*self.scored, *self.checks.values(), *([] if self.distances is None else [self.distances])]

    @property
    def scored(self) -> list[PerturbedItems | PerturbedTokens]:
        """All steps that score items."""
        whole = [] if self.everything is None else [self.everything]
        return [*self.items.values(), *whole, *self.layers.values(), *self.shares.values()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The clusters of a corpus and their passages, tokenised for a model."""

    corpus: CorpusSample
    clustering: ClusterDocuments
    model: ImportedModel
    passages: ClusterPassages


def texts(named: ModelOptions, text: ClusterOptions) -> Texts:
    """The steps from files and a model's name to passages."""
    files = FileCorpus(paths=text.paths, text_key=text.text_key, domain_key=text.domain_key)
    corpus = CorpusSample(corpus=files, per_domain=text.most_documents, seed=text.seed)
    clustering = ClusterDocuments(corpus=corpus, method=text.method)
    model = ImportedModel.of(named.name, revision=named.revision, gguf_file=named.gguf_file, dtype=named.dtype)
    passages = ClusterPassages(
        corpus=corpus, clustering=clustering, model=model, documents=text.documents, tokens=text.tokens, seed=text.seed
    )
    return Texts(corpus=corpus, clustering=clustering, model=model, passages=passages)


def groundwork(study: PerturbationStudy) -> Groundwork:
    """The steps before any perturbation; files and folders that are missing raise `ConfigError` or `CorpusError`."""
    read, asked, chosen = texts(study.model, study.clusters), study.abilities, study.perturbations
    return Groundwork(
        corpus=read.corpus,
        clustering=read.clustering,
        characters=CharacteriseClusters(corpus=read.corpus, clusters=read.clustering, seed=study.clusters.seed),
        sheet=ValidationSheet(corpus=read.corpus, clusters=read.clustering),
        model=read.model,
        passages=read.passages,
        evaluation=EvaluateModel.of(
            read.model,
            list(asked.suites),
            asked.data,
            limit=asked.items,
            fewshot=asked.fewshot,
            seed=asked.seed,
            generate=False,
        ),
        space=cluster_space(read, chosen, chosen.site),
        layers=tuple(cluster_space(read, chosen, site) for site in chosen.layers),
        filtered=FilteredClusters(passages=read.passages, model=read.model, heads=study.clusters.heads)
        if study.clusters.heads
        else None,
    )


def cluster_space(read: Texts, chosen: PerturbationOptions, site: str) -> ClusterSpace:
    """The step that finds what belongs to each cluster at a site."""
    return ClusterSpace(
        passages=read.passages,
        model=read.model,
        site=site,
        dimensions=chosen.dimensions,
        rank=chosen.rank,
        direction=chosen.direction,
        seed=chosen.seed,
    )


def perturbations(
    study: PerturbationStudy, ground: Groundwork, clusters: tuple[str, ...], objective: Objective
) -> Perturbations:
    """The steps for clusters of these names; `ConfigError` for what a model of this kind has no meaning for.

    The loss of plain text is defined for causal models only, so others are not checked on text. Of an encoder-decoder the
    states that a scorer keeps are not those of the tokens it scores, so distances to prompts are left out.
    """
    chosen = study.perturbations
    if objective != "causal" and ("sign" in chosen.families or chosen.token_shares):
        raise ConfigError(
            f"a {objective} model has no gradient signs of answers and no typical tokens of a prompt; leave out the family"
            " 'sign' and perturbations.token_shares"
        )
    checked = [family for family in chosen.families if family in TEXT_FAMILIES and objective == "causal"]
    distances = TaskDistances(evaluation=ground.evaluation, space=ground.space, seed=chosen.seed)
    return Perturbations(
        items={
            (cluster, family): _items(study, ground, ground.space, cluster, family, chosen.doses_of(family))
            for cluster in clusters
            for family in chosen.families
        },
        everything=_items(study, ground, ground.space, None, "noise", chosen.doses_of("noise"))
        if chosen.global_noise
        else None,
        layers={
            (space.site, cluster): _items(
                study, ground, space, cluster, LAYER_FAMILY, chosen.doses_of(LAYER_FAMILY)[-1:], LAYER_DRAWS
            )
            for space in ground.layers
            for cluster in clusters
        },
        shares={
            cluster: PerturbedTokens(
                evaluation=ground.evaluation,
                space=ground.space,
                cluster=cluster,
                shares=chosen.token_shares,
                seed=chosen.seed,
            )
            for cluster in (clusters if chosen.token_shares else ())
        },
        checks={
            (cluster, family): CheckedPerturbation(
                passages=ground.passages,
                space=ground.space,
                model=ground.model,
                cluster=cluster,
                family=family,
                dose=chosen.doses_of(family)[-1],
                seed=chosen.seed,
            )
            for cluster in clusters
            for family in checked
        },
        distances=distances if chosen.on_stream and objective != "seq2seq" else None,
    )


def _items(
    study: PerturbationStudy,
    ground: Groundwork,
    space: ClusterSpace,
    cluster: str | None,
    family: Family,
    doses: tuple[float, ...],
    draws: int | None = None,
) -> PerturbedItems:
    return PerturbedItems(
        evaluation=ground.evaluation,
        space=space,
        cluster=cluster,
        family=family,
        doses=doses,
        control_draws=draws or study.perturbations.control_draws,
        seed=study.perturbations.seed,
    )
