"""Topics of documents: latent Dirichlet allocation, and BERTopic over a sentence encoder (optional extra `topics`)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import LatentDirichletAllocation

from imprint.corpus.clusters.bertopic_model import fit_bertopic
from imprint.corpus.clusters.clustering import NOISE_LABEL, Clustering, from_names
from imprint.corpus.clusters.encoder import load_encoder
from imprint.corpus.clusters.terms import DocumentTerms, document_terms
from imprint.corpus.documents import Corpus
from imprint.errors import ConfigError, CorpusError
from imprint.runs import derive
from imprint.types import Advance, no_progress

NAME_WORDS = 4
"""Words in the name of a topic."""
_SMALL_CORPUS = 2000
"""Up to so many documents every pass of LDA sees all of them at once; larger corpora are learnt in batches."""
_STARTS = 5
"""Random starts of LDA on a small corpus, of which the one with the lowest perplexity is kept: a start can be stuck."""


def lda_topics(
    corpus: Corpus,
    *,
    topics: int,
    seed: int,
    min_documents: int = 2,
    max_share: float = 0.5,
    most_words: int = 20_000,
) -> Clustering:
    """Each document's strongest topic under latent Dirichlet allocation (Blei et al. 2003), named by its top words.

    Words are content words in `min_documents` or more documents and in at most `max_share` of them. A document without
    such a word is noise; a topic that no document has most of is left out. Same corpus and seed, same labels.

    Raises:
        ConfigError: fewer than 2 topics, or more topics than documents with a usable word.
        CorpusError: no document has a usable word.

    Trust: a document is a mixture and gets one label here; topics change with the seed, so compare seeds (ARI) first.
    """
    terms = document_terms([document.text for document in corpus])
    terms = terms.content(min_documents=min_documents, max_share=max_share, most_words=most_words)
    usable = np.flatnonzero(np.diff(terms.counts.indptr))
    _check(topics, len(usable), len(corpus))
    weights, word_weights = _fit(terms, usable, topics, seed)
    labels = np.full(len(corpus), NOISE_LABEL, dtype=np.int64)
    labels[usable] = weights.argmax(axis=1)
    top = np.argsort(-word_weights, axis=1, kind="stable")[:, :NAME_WORDS]
    names = topic_names([[terms.words[column] for column in row] for row in top])
    method = f"lda, {topics} topics, seed {seed}"
    return from_names(labels, names, unit="document", method=method, ids=corpus.ids)


def bertopic_topics(
    corpus: Corpus,
    *,
    encoder: Path | str,
    seed: int,
    topics: int | None = None,
    smallest: int = 10,
    advance: Advance = no_progress,
) -> Clustering:
    """Topics by BERTopic (Grootendorst 2022): sentence embeddings, UMAP, HDBSCAN, names by class-based tf-idf.

    `encoder` is the folder or the name of a sentence encoder (see `load_encoder`); nothing is downloaded. `smallest` is
    the fewest documents of a topic, `topics` how many topics are left after merging the most alike (None: as found).
    Documents in no dense region are noise. Same corpus, encoder and seed: same labels. Progress counts documents.

    Raises:
        ConfigError: the extra `topics` is not installed, the encoder cannot be loaded, or the numbers do not fit.

    Trust: only the beginning of a document is embedded (256 tokens for MiniLM); UMAP makes gaps that the data may not
    have, so look at the quality of the clusters before naming them.
    """
    if smallest < 2 or len(corpus) < 2 * smallest:
        raise ConfigError(
            f"{len(corpus)} documents cannot give two topics of at least {smallest}; add documents or lower `smallest`"
        )
    if topics is not None:
        _check(topics, len(corpus), len(corpus))
    texts = [document.text for document in corpus]
    vectors = load_encoder(encoder).encode(texts, advance=advance)
    labels, top_words = fit_bertopic(texts, vectors, seed=seed, topics=topics, smallest=smallest)
    if not top_words:
        raise CorpusError(
            f"BERTopic found no dense region of {smallest} of the {len(corpus)} documents: all are noise; lower `smallest`"
        )
    names = topic_names([found[:NAME_WORDS] for found in top_words])
    method = f"bertopic, at least {smallest} documents a topic, seed {seed}"
    return from_names(labels, names, unit="document", method=method, ids=corpus.ids)


def topic_names(top_words: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """One name a topic: its top words; topics with the same words are told apart by their number."""
    plain = [", ".join(found) or "no words" for found in top_words]
    times = Counter(plain)
    return tuple(name if times[name] == 1 else f"{name} ({number})" for number, name in enumerate(plain))


def _check(topics: int, usable: int, documents: int) -> None:
    if not usable:
        raise CorpusError(f"none of the {documents} documents has a word that a topic can be made of; add documents")
    if topics < 2:
        raise ConfigError(f"{topics} topics divide nothing; ask for at least 2")
    if topics > usable:
        raise ConfigError(
            f"{topics} topics are more than the {usable} documents with a usable word (of {documents}); ask for fewer"
        )


def _fit(
    terms: DocumentTerms, usable: Int[np.ndarray, "usable"], topics: int, seed: int
) -> tuple[Float[np.ndarray, "usable topic"], Float[np.ndarray, "topic word"]]:
    small = len(usable) <= _SMALL_CORPUS
    models = [
        LatentDirichletAllocation(
            n_components=topics,
            learning_method="batch" if small else "online",
            max_iter=30 if small else 6,
            batch_size=256,
            random_state=derive(seed, "lda", start) % 2**32,
        )
        for start in range(_STARTS if small else 1)
    ]
    counts = terms.counts[usable]
    fitted = min((model.fit(counts) for model in models), key=lambda model: float(model.bound_))
    return fitted.transform(counts), fitted.components_
