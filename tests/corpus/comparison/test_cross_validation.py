import numpy as np
import pytest
from scipy.sparse import csr_array

from imprint.corpus.comparison.cross_validation import (
    CrossValidation,
    balanced_accuracy,
    log_counts,
    permuted_over_groups,
)
from imprint.errors import CorpusError
from imprint.types import no_progress


def task(features, labels, groups, **changes):
    options = {"folds": 3, "min_documents": 1, "inverse_penalty": 1.0, "seed": 0} | changes
    return CrossValidation(features=csr_array(features), labels=labels, groups=groups, **options)


def test_permuting_keeps_labels_in_whole_groups():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), [1] * 10 + [3] * 20)[generator.permutation(70)]
    labels = groups % 2
    moved = [permuted_over_groups(labels, groups, generator) for _ in range(20)]
    for one in moved:
        assert all(len(set(one[groups == group])) == 1 for group in range(30))
        assert np.bincount(one).tolist() == np.bincount(labels).tolist()
    assert np.mean([(one != labels).mean() for one in moved]) == pytest.approx(0.5, abs=0.1)


def test_a_group_is_scored_by_a_fold_that_saw_none_of_it():
    groups = np.repeat(np.arange(12), 3)
    found = task(np.eye(36), groups % 2, groups).fitted(no_progress)
    assert sorted(np.concatenate(found.tests).tolist()) == list(range(36))
    for fold, test in enumerate(found.tests):
        assert set(groups[test]).isdisjoint(groups[np.setdiff1d(np.arange(36), test)])
        assert not found.coefficients[fold][:, test].any()  # tokens of the test documents alone have no weight


def test_tokens_in_few_documents_of_the_training_folds_do_not_count():
    features = np.zeros((30, 2))
    features[::2, 0], features[0, 1] = 1, 1
    found = task(features, np.arange(30) % 2, np.arange(30), min_documents=2).fitted(no_progress)
    assert found.predicted.tolist() == (np.arange(30) % 2).tolist()
    assert not found.coefficients[:, :, 1].any()
    assert (found.coefficients[:, 0, 0] > 0).all()
    assert np.array_equal(found.coefficients[:, 0], -found.coefficients[:, 1])


def test_a_corpus_that_is_mostly_one_group():
    labels, groups = np.repeat([0, 1], [9, 9]), np.array([*range(9), *([9] * 9)])
    with pytest.raises(CorpusError, match="one group of duplicates holds most of a corpus"):
        task(np.eye(18), labels, groups).fitted(no_progress)


def test_balanced_accuracy_by_hand_and_log_counts():
    assert balanced_accuracy(np.array([1, 1, 1, 0, 1]), np.array([0, 0, 0, 0, 1])) == (0.75 + 1) / 2
    assert log_counts(csr_array(np.array([[0, 1], [3, 0]]))).toarray() == pytest.approx(
        np.array([[0, np.log(2)], [np.log(4), 0]])
    )
