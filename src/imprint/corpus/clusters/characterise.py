"""What each cluster of documents consists of: size, words, syntax, entities, discourse, coherence, density."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int

from imprint.corpus.clusters.clustering import Clustering
from imprint.corpus.clusters.coherence import topic_coherence
from imprint.corpus.clusters.distinctive import DistinctiveWord, distinctive_words, word_entropy
from imprint.corpus.clusters.measures import MEASURES, measure, text_counts
from imprint.corpus.clusters.sampling import Sample, sample_cluster
from imprint.corpus.clusters.terms import DocumentTerms, document_terms
from imprint.corpus.clusters.words import is_content
from imprint.corpus.documents import Corpus
from imprint.errors import CorpusError
from imprint.stats import Effect
from imprint.stats.effects import Unit
from imprint.types import Advance, no_progress

TOPIC_WORDS = 10
"""Words whose co-occurrence is the coherence of a cluster."""
ENTROPY_MEANING = "entropy of the words, bits a word"
COHERENCE_MEANING = "mean NPMI of the ten most distinctive content words"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterCharacter:
    """What one cluster of documents consists of; sizes are of all of it, the rest of a stated sample."""

    name: str
    documents: int
    characters: int
    tokens: int | None
    """Tokens, where the caller counted them."""
    share: float
    """Part of all documents of the clustering, noise included."""
    sampled_documents: int
    sampled_characters: int
    measures: dict[str, Effect]
    """Rates by name (see `MEASURES`) and `word_entropy`; a measure that cannot be said is absent."""
    distinctive: tuple[DistinctiveWord, ...]
    """Words with the highest log-odds against all other clusters, function words included."""
    topic_words: tuple[str, ...]
    """The most distinctive content words."""
    coherence: Effect | None
    """Mean NPMI of `topic_words` over the sampled documents of all clusters; None with fewer than two such words."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def characterise(
    corpus: Corpus,
    clustering: Clustering,
    *,
    seed: int,
    document_tokens: Int[np.ndarray, "document"] | None = None,
    most_characters: int = 1_000_000,
    most_document_characters: int = 50_000,
    top_words: int = 20,
    advance: Advance = no_progress,
) -> tuple[ClusterCharacter, ...]:
    """One record a cluster, in the order of the clusters; noise is neither described nor compared with.

    Sizes count every document. All else is measured on a sample of each cluster: documents in random order, of each at
    most its first `most_document_characters`, until `most_characters` are reached; time is linear in the sample. A
    cluster of one document is cut into passages, and its intervals are over those ("item"). Progress counts clusters.

    Raises:
        CorpusError: a clustering of tokens, or of other documents than the corpus has.

    Trust: rules and word lists of English, no tagger or parser (each rule is in `measures`); intervals cover the choice
    of documents, not the choice of rules.
    """
    _check(corpus, clustering)
    samples = [_sampled(corpus, clustering, number, seed, most_characters, most_document_characters)
               for number in range(clustering.num_clusters)]  # fmt: skip
    terms = document_terms([text for sample in samples for text in sample.texts])
    ends = np.cumsum([0, *(len(sample.texts) for sample in samples)])
    characters = np.array([len(document.text) for document in corpus], dtype=np.int64)
    found = []
    for number, sample in enumerate(samples):
        members = clustering.members(number)
        rows = np.arange(ends[number], ends[number + 1])
        words = distinctive_words(terms, rows, top=len(terms.words))
        topic_words = tuple([one.word for one in words if is_content(one.word)][:TOPIC_WORDS])
        found.append(
            ClusterCharacter(
                name=clustering.names[number],
                documents=len(members),
                characters=int(characters[members].sum()),
                tokens=None if document_tokens is None else int(document_tokens[members].sum()),
                share=clustering.share(number),
                sampled_documents=sample.documents,
                sampled_characters=sum(map(len, sample.texts)),
                measures=_measures(sample, terms, rows),
                distinctive=words[:top_words],
                topic_words=topic_words,
                coherence=_coherence(terms, topic_words, seed),
            )
        )
        advance(1)
    return tuple(found)


def character_table(characters: Sequence[ClusterCharacter]) -> pl.DataFrame:
    """One row a cluster and measure: cluster, measure, estimate, low, high, n, unit, meaning."""
    meaning = {rate.name: rate.meaning for rate in MEASURES}
    meaning |= {"word_entropy": ENTROPY_MEANING, "coherence": COHERENCE_MEANING}
    rows = [
        {
            "cluster": one.name,
            "measure": name,
            "estimate": effect.estimate,
            "low": effect.low,
            "high": effect.high,
            "n": effect.n,
            "unit": effect.unit,
            "meaning": meaning[name],
        }
        for one in characters
        for name, effect in _named_effects(one)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


_SCHEMA = {
    "cluster": pl.String,
    "measure": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "unit": pl.String,
    "meaning": pl.String,
}


def _named_effects(one: ClusterCharacter) -> list[tuple[str, Effect]]:
    coherence = [] if one.coherence is None else [("coherence", one.coherence)]
    return [*one.measures.items(), *coherence]


def _check(corpus: Corpus, clustering: Clustering) -> None:
    if clustering.unit != "document":
        raise CorpusError(f"a clustering of tokens ({clustering.method}) cannot be described by whole documents")
    if clustering.ids != corpus.ids:
        raise CorpusError(
            f"the clustering is of {len(clustering)} documents, and they are not the {len(corpus)} of this corpus in "
            "their order; cluster this corpus again"
        )


def _sampled(
    corpus: Corpus, clustering: Clustering, number: int, seed: int, most_characters: int, most_document_characters: int
) -> Sample:
    texts = [corpus.documents[position].text for position in clustering.members(number)]
    return sample_cluster(
        texts,
        generator=np.random.default_rng([seed, number]),
        most_characters=most_characters,
        most_document_characters=most_document_characters,
    )


def _measures(sample: Sample, terms: DocumentTerms, rows: Int[np.ndarray, "row"]) -> dict[str, Effect]:
    unit: Unit = "document" if sample.whole else "item"
    note = "" if sample.whole else "one document: the interval is over its passages"
    found = measure([text_counts(text) for text in sample.texts], unit=unit, note=note)
    entropy = word_entropy(terms, rows, unit=unit, note=note)
    return found if entropy is None else {**found, "word_entropy": entropy}


def _coherence(terms: DocumentTerms, topic_words: tuple[str, ...], seed: int) -> Effect | None:
    if len(topic_words) < 2:
        return None
    return topic_coherence(terms.presence(topic_words), seed=seed)
