"""New points join the cluster of the nearest core point within eps."""

import numpy as np
import pytest
import torch
from blobs import token_like

from imprint.corpus.clusters import Cores
from imprint.corpus.clusters.dbscan import dbscan
from imprint.errors import CorpusError


def brute(cores, labels, eps, points):
    gaps = np.linalg.norm(points[:, None].astype(float) - cores[None].astype(float), axis=2)
    nearest = gaps.argmin(1)
    return np.where(gaps[np.arange(len(points)), nearest] <= eps, labels[nearest], -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("eps", [0.8, 2.5, 50.0])
def test_assignment_is_that_of_the_nearest_core_point(dtype, eps):
    states = token_like(1200, 24)
    cores, points = states[:700], states[700:]
    labels = np.arange(700)
    found = Cores(states=cores, labels=labels, eps=eps).assign(points, dtype=dtype)
    np.testing.assert_array_equal(found, brute(cores, labels, eps, points))


def test_core_points_keep_their_cluster_and_noise_stays_noise():
    states = token_like(2500, 24)
    found = dbscan(states, eps=2.0, min_samples=10)
    assert found.num_clusters > 1
    again = Cores(states=states[found.core], labels=found.labels[found.core], eps=2.0).assign(states)
    np.testing.assert_array_equal(again[found.core], found.labels[found.core])
    np.testing.assert_array_equal(again < 0, found.labels < 0)


def test_without_core_points_all_is_noise():
    found = Cores(states=np.zeros((0, 2)), labels=np.zeros(0, dtype=np.int64), eps=1.0).assign(np.ones((3, 2)))
    np.testing.assert_array_equal(found, [-1, -1, -1])


def test_points_that_do_not_fit_are_refused():
    cores = Cores(states=np.zeros((1, 2)), labels=np.zeros(1, dtype=np.int64), eps=1.0)
    with pytest.raises(CorpusError, match="width 3 cannot be near core points of width 2"):
        cores.assign(np.ones((1, 3)))
    with pytest.raises(CorpusError, match="new states: point 0 holds NaN"):
        cores.assign(np.full((1, 2), np.nan))
