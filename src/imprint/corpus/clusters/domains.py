"""Domains as clusters: the division that the corpus came with."""

import numpy as np

from imprint.corpus.clusters.clustering import Clustering
from imprint.corpus.documents import Corpus
from imprint.errors import CorpusError


def domains(corpus: Corpus) -> Clustering:
    """The given domains as clusters, in the order of their names; there is no noise.

    Raises:
        CorpusError: the corpus is empty, or all of it is one domain.

    Trust: a domain is where a text was found, not what it is about; topics may cut across it.
    """
    names = corpus.domains
    if not names:
        raise CorpusError("the corpus is empty: it has no domain to cluster by; check the path")
    if len(names) == 1:
        raise CorpusError(
            f"all {len(corpus)} documents are of one domain, '{names[0]}', which leaves nothing to compare it with: "
            "give several files, name the key of the domain, or cluster by topic"
        )
    number = {name: position for position, name in enumerate(names)}
    labels = np.array([number[document.domain] for document in corpus], dtype=np.int64)
    return Clustering(unit="document", method="domains", labels=labels, names=names, ids=corpus.ids)
