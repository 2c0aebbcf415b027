"""Clusters through a sample of core points: close to the exact ones, and the distance from them is measured."""

import numpy as np
import pytest
from blobs import gaussians, token_like
from sklearn.metrics import adjusted_rand_score

from imprint.corpus.clusters import sampled_dbscan
from imprint.corpus.clusters.dbscan import dbscan
from imprint.corpus.clusters.sampled import count_neighbours
from imprint.errors import ConfigError


def test_separated_clusters_are_found_through_a_sample_and_the_agreement_says_so():
    states, truth = gaussians(4000, 8, distance=60)
    found = sampled_dbscan(states, eps=3.0, min_samples=5, sample=1000, overlap=2000, seed=0)
    exact = dbscan(states, eps=3.0, min_samples=5)
    assert adjusted_rand_score(exact.labels, found.labels) > 0.95
    assert found.agreement.estimate > 0.9
    assert found.agreement.control == "exact DBSCAN"
    assert adjusted_rand_score(truth, found.labels) > 0.95


def test_the_agreement_falls_where_the_sample_is_too_thin():
    states = token_like(3000, 24)
    options = {"eps": 2.0, "min_samples": 10, "overlap": 2000, "seed": 0}
    thick = sampled_dbscan(states, sample=2400, **options).agreement
    thin = sampled_dbscan(states, sample=30, **options).agreement
    assert thick.estimate > 0.8 > thin.estimate


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
    one, two = (sampled_dbscan(states, eps=1.0, sample=500, overlap=500, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.sample, two.sample)


def test_a_sample_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="50 of 50 points is no sample"):
        sampled_dbscan(np.ones((50, 2)), eps=1.0, sample=50, seed=0)
    with pytest.raises(ConfigError, match="measure nothing"):
        sampled_dbscan(np.ones((50, 2)), eps=1.0, sample=10, overlaps=1, seed=0)
