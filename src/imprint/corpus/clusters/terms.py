"""Which document holds which word how often: the sparse table that topics, distinctive words and coherence read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer

from imprint.corpus.clusters.words import is_content, words


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentTerms:
    """Counts of words by document; words are in alphabetical order."""

    counts: csr_array
    """Whole numbers, shape (document, word)."""
    words: tuple[str, ...]

    @property
    def document_frequency(self) -> Int[np.ndarray, "word"]:
        """In how many documents each word occurs."""
        return np.bincount(self.counts.indices, minlength=len(self.words))

    @property
    def totals(self) -> Int[np.ndarray, "word"]:
        """How often each word occurs in all documents."""
        return np.asarray(self.counts.sum(axis=0)).ravel().astype(np.int64)

    def presence(self, chosen: Sequence[str]) -> Bool[np.ndarray, "document word"]:
        """Whether each document holds each of these words (one that no document holds is in none)."""
        number = {word: column for column, word in enumerate(self.words)}
        found = np.zeros((self.counts.shape[0], len(chosen)), dtype=bool)
        columns = self.counts.tocsc()
        for place, word in enumerate(chosen):
            if word in number:
                start, end = columns.indptr[number[word]], columns.indptr[number[word] + 1]
                found[columns.indices[start:end], place] = True
        return found

    def content(self, *, min_documents: int, max_share: float, most_words: int) -> "DocumentTerms":
        """Only the words a topic can be made of: content words of three letters or more, neither rare nor everywhere.

        Of these the `most_words` most frequent are kept, ties by the alphabet.
        """
        spread = self.document_frequency
        usable = (spread >= min_documents) & (spread <= max_share * self.counts.shape[0])
        usable &= np.array([is_content(word) for word in self.words], dtype=bool)
        ranked = np.argsort(-self.totals, kind="stable")
        kept = np.sort(ranked[usable[ranked]][:most_words])
        return DocumentTerms(counts=self.counts[:, kept], words=tuple(self.words[column] for column in kept))


def document_terms(texts: Sequence[str]) -> DocumentTerms:
    """Words of every text and how often each occurs; a text without a word has an empty row."""
    vectorizer = CountVectorizer(analyzer=words)
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # scikit-learn's answer to texts that hold no word at all
        return DocumentTerms(counts=csr_array((len(texts), 0), dtype=np.int64), words=())
    return DocumentTerms(counts=csr_array(counts), words=tuple(vectorizer.get_feature_names_out()))
