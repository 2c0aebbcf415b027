import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms import mahalanobis, moments, task_distance
from imprint.mechanisms.moments import ledoit_wolf, pooled


def sample(seed, centre, documents=25, each=12, d=6):
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(documents), each)
    base = 0.5 * rng.standard_normal((documents, d))[numbers]
    return base + rng.standard_normal((len(numbers), d)) + centre, numbers


def test_the_distance_is_that_of_the_document_means():
    near, far = sample(0, 0.0), sample(1, 2.0, documents=10, each=5)
    found = task_distance(*near, *far)
    covariance = ledoit_wolf(pooled(moments(near[0]), moments(far[0])))[0]
    gap = near[0].reshape(25, 12, 6).mean(1).mean(0) - far[0].reshape(10, 5, 6).mean(1).mean(0)
    assert found.distance.estimate == pytest.approx(mahalanobis(gap, covariance))
    assert found.p == pytest.approx(1 / 1000)
    assert found.distance.low > found.null_95
    assert found.distance.n == 35


def test_the_cluster_of_the_task_is_nearest():
    task = sample(9, 1.0)
    distances = [task_distance(*sample(seed, centre), *task).debiased for seed, centre in enumerate((0.0, 1.0, 3.0))]
    assert np.argsort(distances).tolist() == [1, 0, 2]


def test_units_do_not_matter():
    near, far, units = sample(0, 0.0), sample(1, 2.0), np.array([1, 10, 0.1, 3, 7, 2.0])
    plain = task_distance(*near, *far)
    # Ledoit-Wolf shrinks towards equal variances, so units matter only as much as it shrinks.
    scaled = task_distance(near[0] * units, near[1], far[0] * units, far[1])
    assert scaled.distance.estimate == pytest.approx(plain.distance.estimate, rel=0.1)


def test_the_same_text_is_at_the_floor():
    called, debiased, plain, floors = 0, [], [], []
    for seed in range(60):
        found = task_distance(*sample(seed, 0.0), *sample(1000 + seed, 0.0), draws=99)
        called += found.p <= 0.05
        debiased.append(found.debiased)
        plain.append(found.distance.estimate)
        floors.append(found.floor)
    assert called / 60 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    assert np.median(debiased) < 0.5 * np.median(plain)
    # Halves of 25 documents are noisier than two samples of 25, by the root of two.
    assert np.mean(floors) == pytest.approx(np.mean(plain) * np.sqrt(2), rel=0.15)


def test_too_few_documents_or_other_widths_are_refused():
    near, far = sample(0, 0.0), sample(1, 2.0, documents=3)
    with pytest.raises(CorpusError, match="The task has 3 document"):
        task_distance(*near, *far)
    with pytest.raises(CorpusError, match="6 dimensions and the task 5"):
        task_distance(*near, near[0][:, :5], near[1])
