"""Clusters as content-addressed steps: divide the documents, describe the clusters, draw the validation sheet."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from imprint.corpus.clusters.annotation_sheet import SheetOptions, document_excerpts, draw_sheet
from imprint.corpus.clusters.characterise import character_table, characterise
from imprint.corpus.clusters.clustering import Clustering
from imprint.corpus.clusters.domains import domains
from imprint.corpus.clusters.topics import bertopic_topics, lda_topics
from imprint.corpus.documents import Corpus
from imprint.corpus.steps import CORPUS_FILE
from imprint.errors import CorpusError
from imprint.runs import Context, Step, write_json

CHARACTER_TABLE, CHARACTER_RECORDS = "characterisation.parquet", "characterisation.json"
_TOPIC_LIBRARIES = ("bertopic", "hdbscan", "umap-learn", "numba")


class ByDomain(BaseModel):
    """The domains that the corpus came with."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["domains"] = "domains"

    def divide(self, corpus: Corpus, context: Context) -> Clustering:
        """The clustering; see `domains`."""
        return domains(corpus)


class ByLda(BaseModel):
    """Topics by latent Dirichlet allocation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["lda"] = "lda"
    topics: int = Field(default=8, ge=2)
    seed: int = 0

    def divide(self, corpus: Corpus, context: Context) -> Clustering:
        """The clustering; see `lda_topics`."""
        return lda_topics(corpus, topics=self.topics, seed=self.seed)


def topic_libraries() -> dict[str, str]:
    """Versions of the libraries that BERTopic's labels depend on, "absent" where one is not installed."""
    return {name: _version(name) for name in _TOPIC_LIBRARIES}


class ByBertopic(BaseModel):
    """Topics by BERTopic over a sentence encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["bertopic"] = "bertopic"
    encoder: Path
    """Folder of the sentence encoder; it counts by its content."""
    topics: int | None = Field(default=None, ge=2)
    """Merge the most alike topics until so many are left; None: as found."""
    smallest: int = Field(default=10, ge=2)
    """Fewest documents of a topic."""
    seed: int = 0
    libraries: dict[str, str] = Field(default_factory=topic_libraries)
    """Versions that the labels depend on, so that another version is another result."""

    def divide(self, corpus: Corpus, context: Context) -> Clustering:
        """The clustering; see `bertopic_topics`."""
        torch.set_num_threads(1)
        return bertopic_topics(
            corpus,
            encoder=self.encoder,
            seed=self.seed,
            topics=self.topics,
            smallest=self.smallest,
            advance=context.advance,
        )


ClusterMethod = Annotated[ByDomain | ByLda | ByBertopic, Field(discriminator="kind")]


class CorpusSample(Step):
    """At most so many documents of every domain, drawn at random, in corpus order."""

    corpus: Step
    per_domain: int = Field(ge=1)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save."""
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        kept: list[str] = []
        for number, part in enumerate(corpus.by_domain().values()):
            order = np.random.default_rng([self.seed, number]).permutation(len(part))[: self.per_domain]
            kept.extend(part.ids[position] for position in order)
        chosen = set(kept)
        corpus.select(name for name in corpus.ids if name in chosen).save(folder / CORPUS_FILE)


class ClusterDocuments(Step):
    """A clustering of the documents of a corpus: `labels.npy` and `clustering.json` (see `Clustering.load`)."""

    corpus: Step
    method: ClusterMethod = ByDomain()

    def execute(self, folder: Path, context: Context) -> None:
        """Divide and save; documents that belong nowhere are warned of."""
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        found = self.method.divide(corpus, context)
        if found.num_clusters < 2:
            raise CorpusError(
                f"{found.method} puts all {len(corpus)} documents into {found.num_clusters} cluster(s), which leaves "
                "nothing to compare; ask for more clusters or give a more varied corpus"
            )
        if found.num_noise:
            context.warn(f"{found.num_noise} of {len(found)} documents belong to no cluster ({found.method})")
        found.save(folder)


class CharacteriseClusters(Step):
    """What every cluster consists of: `characterisation.parquet` (cluster, measure, ...) and `characterisation.json`."""

    corpus: Step
    clusters: Step
    seed: int = 0
    most_characters: int = Field(default=1_000_000, ge=1000)
    """Characters of a cluster that are read."""
    most_document_characters: int = Field(default=50_000, ge=100)
    """Characters of one document that are read."""

    def execute(self, folder: Path, context: Context) -> None:
        """Describe and save."""
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        found = characterise(
            corpus,
            Clustering.load(context.get(self.clusters)),
            seed=self.seed,
            most_characters=self.most_characters,
            most_document_characters=self.most_document_characters,
            advance=context.advance,
        )
        character_table(found).write_parquet(folder / CHARACTER_TABLE)
        write_json(folder / CHARACTER_RECORDS, [one.as_dict() for one in found])


class ValidationSheet(Step):
    """A stratified sample of the clusters for people to label: sheet.csv, sheet.html and the key, sheet.json."""

    corpus: Step
    clusters: Step
    options: SheetOptions = SheetOptions()

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save."""
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        excerpts = document_excerpts(corpus, seed=self.options.seed)
        draw_sheet(Clustering.load(context.get(self.clusters)), excerpts, self.options).save(folder)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
