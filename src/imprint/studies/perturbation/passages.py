"""Short passages of every cluster, tokenised for the model: half find its representation, half check the perturbation."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field

from imprint.corpus import CORPUS_FILE, Corpus, Document, Packed, pack, passages
from imprint.corpus.clusters import Clustering
from imprint.errors import CorpusError
from imprint.models import ImportedModel, open_imported
from imprint.runs import Context, Step, derive

BYTES_PER_TOKEN = 6
"""Bytes cut for each token asked for: few texts have fewer tokens, and what is left over is dropped."""
FEWEST_PASSAGES = 20
"""A cluster that has fewer passages than are asked for gives all it has, down to so many."""
LEAST_SOURCES = 4
"""Fewest source documents of a cluster, so that each half has two."""
Half = Literal["fit", "check"]


class ClusterPassages(Step):
    """At most `documents` passages of `tokens` tokens from every cluster, as a packed corpus whose domains are the clusters.

    Source documents, not passages, are divided between the two halves, so no document stands on both sides.
    """

    corpus: Step
    clustering: Step | None = None
    """The step that labels the documents; None: the corpus's own domains."""
    model: ImportedModel
    documents: int = Field(ge=20)
    tokens: int = Field(ge=8)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Cut, tokenise, keep one row a passage, and save rows and texts."""
        corpus = self._labelled(context)
        cut = passages(
            corpus,
            most_bytes=self.tokens * BYTES_PER_TOKEN,
            per_domain=self.documents,
            seed=derive(self.seed, "passages"),
            at_least=FEWEST_PASSAGES,
        )
        _, tokenizer = open_imported(context.get(self.model), self.model.dtype)
        packed = _first_rows(pack(cut, tokenizer, context=self.tokens))
        for cluster in dict.fromkeys(corpus.domains):
            self._require_both_halves(packed, cluster)
        packed.save(folder)
        cut.save(folder / CORPUS_FILE)

    def _labelled(self, context: Context) -> Corpus:
        """The corpus with each document's cluster as its domain; noise left out."""
        corpus = Corpus.load(context.get(self.corpus) / CORPUS_FILE)
        if self.clustering is None:
            return corpus
        clustering = Clustering.load(context.get(self.clustering))
        names = {
            name: clustering.names[label]
            for name, label in zip(clustering.ids, clustering.labels.tolist(), strict=True)
            if label >= 0
        }
        return Corpus(
            documents=tuple(
                Document(id=one.id, text=one.text, domain=names[one.id], source=one.source)
                for one in corpus
                if one.id in names
            )
        )

    def _require_both_halves(self, packed: Packed, cluster: str) -> None:
        rows = np.flatnonzero(packed.row_domains == cluster)
        sources = {source_of(str(name)) for name in packed.row_ids[rows]}
        halves = {half_of(source, self.seed) for source in sources}
        if len(sources) < LEAST_SOURCES or len(halves) < 2:
            raise CorpusError(
                f"cluster '{cluster}' has {len(rows)} passages from {len(sources)} documents, too few to find its"
                f" representation on some and check it on others: give it at least {LEAST_SOURCES} documents"
            )


def _first_rows(packed: Packed) -> Packed:
    """One row for each passage: the first."""
    _, first = np.unique(packed.document, return_index=True)
    return Packed(
        tokens=packed.tokens[first],
        lengths=packed.lengths[first],
        document=packed.document[first],
        offsets=packed.offsets[first],
        document_ids=packed.document_ids,
        domains=packed.domains,
    )


def source_of(passage: str) -> str:
    """The id of the document that a passage was cut from."""
    return passage.rpartition("#")[0]


def half_of(source: str, seed: int) -> Half:
    """The half that a source document falls into."""
    return "fit" if derive(seed, "half", source) % 2 == 0 else "check"


def rows_of(packed: Packed, half: Half, seed: int) -> Int[np.ndarray, "row"]:
    """Rows of one half, ascending."""
    halves = np.array([half_of(source_of(str(name)), seed) for name in packed.row_ids])
    return np.flatnonzero(halves == half)


def sources_of(packed: Packed, rows: Int[np.ndarray, "row"]) -> Int[np.ndarray, "row"]:
    """A number for the source document of each of these rows: the unit of every interval over text."""
    names = [source_of(str(name)) for name in packed.row_ids[rows]]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
