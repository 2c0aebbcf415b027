"""The seam to BERTopic: embeddings in, labels and top words out, with every source of chance pinned."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.feature_extraction.text import CountVectorizer

from imprint.corpus.clusters.words import is_content, words
from imprint.errors import ConfigError

TOP_WORDS = 10
_DIMENSIONS, _NEIGHBOURS = 5, 15
"""BERTopic's own defaults for UMAP."""


def fit_bertopic(
    texts: Sequence[str], vectors: Float[np.ndarray, "text d"], *, seed: int, topics: int | None, smallest: int
) -> tuple[Int[np.ndarray, "text"], list[list[str]]]:
    """Topic of every text (-1: none) and the top words of every topic, by descending class-based tf-idf.

    Raises:
        ConfigError: the extra `topics` is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba, umap, hdbscan and scikit-learn warn about one another's versions
        model = _model(len(texts), seed=seed, smallest=smallest)
        labels, _ = model.fit_transform(list(texts), np.asarray(vectors, dtype=np.float32))
        if topics is not None and max(labels) + 1 > topics:
            model.reduce_topics(list(texts), nr_topics=topics + (1 if -1 in labels else 0))
            labels = model.topics_
    found = [[word for word, _ in model.get_topic(topic) if word] for topic in range(max(labels) + 1)]
    return np.asarray(labels, dtype=np.int64), found


def content_words(text: str) -> list[str]:
    """Words that can name a topic, in order."""
    return [word for word in words(text) if is_content(word)]


def _model(documents: int, *, seed: int, smallest: int) -> Any:
    try:
        from bertopic import BERTopic
        from hdbscan import HDBSCAN
        from umap import UMAP
    except ImportError as error:
        raise ConfigError(
            f"BERTopic needs the optional extra 'topics' ({error.name} is not installed): pip install 'imprint[topics]', "
            "or cluster with lda"
        ) from error
    neighbours, dimensions = min(_NEIGHBOURS, documents - 1), min(_DIMENSIONS, documents - 2)
    return BERTopic(
        embedding_model=None,
        umap_model=UMAP(
            n_neighbors=neighbours,
            n_components=dimensions,
            min_dist=0.0,
            metric="cosine",
            random_state=seed,
            n_jobs=1,
        ),
        hdbscan_model=HDBSCAN(min_cluster_size=smallest, core_dist_n_jobs=1, gen_min_span_tree=False),
        vectorizer_model=CountVectorizer(analyzer=content_words),
        top_n_words=TOP_WORDS,
        calculate_probabilities=False,
        verbose=False,
    )
