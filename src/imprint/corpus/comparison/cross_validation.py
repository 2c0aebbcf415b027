"""A linear bag of tokens fitted and scored over folds that never part a group of documents."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from imprint.errors import CorpusError
from imprint.types import Advance

MOST_ITERATIONS = 1000


def log_counts(counts: csr_array) -> csr_array:
    """log(1 + count), which keeps a word said often from outweighing all others."""
    return csr_array((np.log1p(counts.data), counts.indices, counts.indptr), shape=counts.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Every document as judged by the fold that did not see it, and the weights of each fold."""

    predicted: Int[np.ndarray, "document"]
    scores: Float[np.ndarray, "document label"]
    tests: list[Int[np.ndarray, "_"]]
    coefficients: Float[np.ndarray, "fold label gram"]
    unconverged: int


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Stratified folds of whole groups, a logistic regression on each, and the same with labels moved over groups."""

    features: csr_array
    labels: Int[np.ndarray, "document"]
    groups: Int[np.ndarray, "document"]
    folds: int
    min_documents: int
    inverse_penalty: float
    seed: int

    def fitted(self, advance: Advance) -> Scored:
        """Every document scored by the fold that did not see it."""
        documents, grams = self.features.shape
        kinds = int(self.labels.max()) + 1
        scores, coefficients = np.zeros((documents, kinds)), np.zeros((self.folds, kinds, grams))
        tests, unconverged = [], 0
        for fold, (train, test) in enumerate(self._divisions(self.labels)):
            scores[test], coefficients[fold], converged = self._fold(self.labels, train, test)
            unconverged += not converged
            tests.append(test)
            advance(1)
        return Scored(
            predicted=scores.argmax(axis=1),
            scores=scores,
            tests=tests,
            coefficients=coefficients,
            unconverged=unconverged,
        )

    def null(self, permutations: int, seed: int, advance: Advance) -> Float[np.ndarray, "permutation"]:
        """Balanced accuracy where labels belong to random groups of the same size."""
        generator, found = np.random.default_rng(seed), []
        for _ in range(permutations):
            labels = permuted_over_groups(self.labels, self.groups, generator)
            predicted = np.empty_like(labels)
            for train, test in self._divisions(labels):
                predicted[test] = self._fold(labels, train, test)[0].argmax(axis=1)
                advance(1)
            found.append(balanced_accuracy(predicted == labels, labels))
        return np.array(found, dtype=np.float64)

    def _divisions(
        self, labels: Int[np.ndarray, "document"]
    ) -> Iterator[tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]]:
        folds = StratifiedGroupKFold(n_splits=self.folds, shuffle=True, random_state=self.seed % 2**32)
        for train, test in folds.split(np.zeros(len(labels)), labels, self.groups):
            if len(np.unique(labels[train])) <= labels.max():
                raise CorpusError(
                    "one group of duplicates holds most of a corpus, so a fold has none of it to learn from; "
                    "remove duplicates or use fewer folds."
                )
            yield train, test

    def _fold(
        self, labels: Int[np.ndarray, "document"], train: Int[np.ndarray, "train"], test: Int[np.ndarray, "test"]
    ) -> tuple[Float[np.ndarray, "test label"], Float[np.ndarray, "label gram"], bool]:
        """Scores of the test documents, weights of the grams, and whether the fit converged."""
        spread = np.bincount(self.features[train].indices, minlength=self.features.shape[1])
        used = np.flatnonzero(spread >= self.min_documents)
        if not len(used):
            used = np.flatnonzero(spread)
        model = LogisticRegression(C=self.inverse_penalty, max_iter=MOST_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # counted below, as `unconverged`
            model.fit(self.features[train][:, used], labels[train])
        scores, weights = model.decision_function(self.features[test][:, used]), model.coef_
        if scores.ndim == 1:
            scores, weights = np.stack([-scores, scores], axis=1), np.concatenate([-weights, weights])
        coefficients = np.zeros((len(weights), self.features.shape[1]))
        coefficients[:, used] = weights
        return scores, coefficients, int(model.n_iter_.max()) < MOST_ITERATIONS


def permuted_over_groups(
    labels: Int[np.ndarray, "document"], groups: Int[np.ndarray, "document"], generator: np.random.Generator
) -> Int[np.ndarray, "document"]:
    """Labels moved as whole groups: each group gets the labels of a random group of its own size.

    Trust: a group whose size no other group has keeps its labels, so few large groups leave little to permute.
    """
    order = np.argsort(groups, kind="stable")
    sizes = np.unique(groups, return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    permuted = np.empty_like(labels)
    for size in np.unique(sizes):
        members = order[starts[sizes == size][:, None] + np.arange(size)]
        permuted[members] = labels[members[generator.permutation(len(members))]]
    return permuted


def balanced_accuracy(correct: np.ndarray, labels: np.ndarray) -> float:
    """Mean over labels of the share of their documents that are right."""
    hits = np.bincount(labels, weights=correct)
    sizes = np.bincount(labels)
    return float((hits[sizes > 0] / sizes[sizes > 0]).mean())
