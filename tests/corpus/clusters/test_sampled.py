"""Clusters through a sample of core points: exact core points among all points, and how much the draw decides."""

import numpy as np
import pytest
from blobs import gaussians, token_like
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from imprint.corpus.clusters import sampled_dbscan
from imprint.corpus.clusters.dbscan import dbscan
from imprint.corpus.clusters.sampled import count_neighbours
from imprint.errors import ConfigError


def brute(states, cores, eps):
    """DBSCAN++ by definition: components of the graph of sampled core points and all points within eps of them."""
    near = cdist(states.astype(float), states[cores].astype(float)) <= eps
    points, reached = np.nonzero(near)
    size = len(states) + len(cores)
    edges = csr_matrix((np.ones(len(points)), (points, len(states) + reached)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    _, component = np.unique(component[len(states) :], return_inverse=True)
    first = np.array([np.flatnonzero(component == number)[0] for number in range(component.max() + 1)])
    return np.where(near.any(1), np.argsort(np.argsort(first))[component[near.argmax(1)]], -1)


def test_separated_clusters_are_found_through_a_sample():
    states, truth = gaussians(4000, 8, distance=60)
    found = sampled_dbscan(states, eps=3.0, min_samples=5, sample=1000, seed=0)
    exact = dbscan(states, eps=3.0, min_samples=5)
    assert adjusted_rand_score(exact.labels, found.labels) > 0.95
    assert adjusted_rand_score(truth, found.labels) > 0.95
    assert found.agreement.estimate > 0.9
    assert found.agreement.control == "the other half"


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_labels_are_those_of_the_definition(kind):
    states = token_like(5000, 24).astype(kind)
    found = sampled_dbscan(states, eps=2.0, sample=600, seed=0)
    exact = dbscan(states, eps=2.0)
    np.testing.assert_array_equal(found.core, exact.core[found.sample])
    np.testing.assert_array_equal(found.labels, brute(states, found.sample[found.core], 2.0))


def test_density_is_that_of_the_whole_and_not_of_the_sample():
    states, _ = gaussians(4000, 4, centres=2, distance=60)
    found = sampled_dbscan(states, eps=0.9, min_samples=40, sample=100, seed=0)
    assert found.core.sum() > 30
    assert not dbscan(states[found.sample], eps=0.9, min_samples=40).core.any()


def test_core_points_hang_together_through_points_that_both_reach():
    chain = np.arange(0, 100, 0.5)[:, None]
    found = sampled_dbscan(chain, eps=1.6, min_samples=3, sample=100, seed=0)
    gaps = np.diff(chain[found.sample[found.core], 0])
    assert gaps.max() > 1.6
    assert found.labels.max() < (gaps > 1.6).sum()


def test_more_points_come_closer_to_the_exact_labels_and_agreement_shows_it():
    states = token_like(3000, 24)
    exact = dbscan(states, eps=2.0).labels
    thick, thin = (sampled_dbscan(states, eps=2.0, sample=sample, seed=0) for sample in (2400, 100))
    assert adjusted_rand_score(exact, thick.labels) > 0.95 > 0.8 > adjusted_rand_score(exact, thin.labels)
    assert thick.agreement.estimate > 0.85 > thin.agreement.estimate


def test_the_share_of_core_points_reached_is_near_the_truth():
    states = token_like(6000, 24)
    exact, found = dbscan(states, eps=1.6), sampled_dbscan(states, eps=1.6, sample=200, seed=0)
    outside = np.setdiff1d(np.flatnonzero(exact.core), found.sample)
    true = (found.labels[outside] >= 0).mean()
    assert found.reached.low - 0.03 < true < found.reached.high + 0.03
    assert true < 0.97


def test_where_nothing_is_dense_all_is_noise():
    states = np.random.default_rng(0).standard_normal((300, 32))
    found = sampled_dbscan(states, eps=0.1, sample=50, seed=0)
    assert (found.labels == -1).all()
    assert found.reached is None


def test_progress_adds_up_to_the_points():
    seen = []
    sampled_dbscan(token_like(9001, 8), eps=1.0, sample=500, seed=0, advance=seen.append)
    assert sum(seen) == 9001


def test_counting_stops_at_enough_and_not_before():
    states = token_like(9000, 8)
    queries = states[:300]
    gaps = np.linalg.norm(queries[:, None].astype(float) - states[None].astype(float), axis=2)
    true = (gaps <= 1.0).sum(1)
    found = count_neighbours(states, queries, 1.0, 10)
    np.testing.assert_array_equal(found >= 10, true >= 10)
    np.testing.assert_array_equal(found[true < 10], true[true < 10])
    assert (found <= true).all()


def test_the_same_seed_gives_the_same_sample():
    states = token_like(2000, 8)
    one, two = (sampled_dbscan(states, eps=1.0, sample=500, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.sample, two.sample)


def test_a_sample_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="50 of 50 points is no sample"):
        sampled_dbscan(np.ones((50, 2)), eps=1.0, sample=50, seed=0)
