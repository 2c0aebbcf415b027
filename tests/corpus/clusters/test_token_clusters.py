"""Token clusters from raw states: standardised, diagnosed, saved, and ready to place new tokens."""

from pathlib import Path

import numpy as np
import pytest
from blobs import gaussians
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from imprint.corpus.clusters import cluster_tokens, load_assigner
from imprint.errors import ConfigError, CorpusError


@pytest.fixture(scope="module")
def tokens():
    states, truth = gaussians(1300, 12, distance=60)
    return (states * np.geomspace(0.1, 100, 12)).astype(np.float16), truth


@pytest.fixture(scope="module")
def clusters(tokens):
    return cluster_tokens(tokens[0][:1000], min_samples=5, seed=0)


def test_clusters_are_those_of_sklearn_on_standardised_states(tokens, clusters):
    train = tokens[0][:1000].astype(np.float64)
    standard = ((train - train.mean(0)) / train.std(0)).astype(np.float32)
    expected = DBSCAN(eps=clusters.cores.eps, min_samples=5, algorithm="brute").fit_predict(standard)
    np.testing.assert_array_equal(clusters.clustering.labels, expected)
    assert adjusted_rand_score(tokens[1][:1000], expected) > 0.9
    assert clusters.clustering.unit == "token"
    assert clusters.clustering.names[0] == "token cluster 0"
    assert clusters.agreement is None


def test_new_tokens_join_the_clusters_of_their_kind(tokens, clusters):
    found = clusters.assign(tokens[0][1000:])
    placed = found >= 0
    assert placed.mean() > 0.8
    assert adjusted_rand_score(tokens[1][1000:][placed], found[placed]) == 1.0


def test_statistics_come_from_the_training_tokens(tokens, clusters):
    one = tokens[0][1000:1001]
    assert clusters.assign(one)[0] == clusters.assign(tokens[0][1000:])[0]


def test_what_is_saved_places_tokens_alike(tokens, clusters, tmp_path):
    from imprint.corpus.clusters import Clustering

    clusters.save(tmp_path)
    standardiser, cores = load_assigner(tmp_path)
    again = cores.assign(standardiser.apply(tokens[0][1000:]))
    np.testing.assert_array_equal(again, clusters.assign(tokens[0][1000:]))
    np.testing.assert_array_equal(Clustering.load(tmp_path).labels, clusters.clustering.labels)
    assert (tmp_path / "epsilon.json").exists()
    assert (tmp_path / "quality.json").exists()


def test_above_the_exact_limit_a_sample_is_used_and_its_agreement_stated(tokens):
    eps = 1.2
    found = cluster_tokens(tokens[0], eps=eps, min_samples=5, exact_limit=1000, sample=600, seed=0)
    assert found.agreement is not None
    assert adjusted_rand_score(tokens[1], found.clustering.labels) > 0.9


def test_small_clusters_become_noise(tokens, clusters):
    sizes = clusters.clustering.sizes
    limit = int(np.sort(sizes)[-1])
    found = cluster_tokens(tokens[0][:1000], eps=clusters.cores.eps, min_samples=5, min_cluster_size=limit, seed=0)
    assert found.clustering.num_clusters == int((sizes >= limit).sum())
    assert set(np.unique(found.cores.labels)) == set(range(found.clustering.num_clusters))


def test_names_and_states_that_do_not_fit_are_refused(tokens, clusters):
    with pytest.raises(ConfigError, match="1 names were given, but there are 3 clusters"):
        cluster_tokens(tokens[0][:1000], eps=clusters.cores.eps, min_samples=5, names=("code",), seed=0)
    blob = np.random.default_rng(0).standard_normal((500, 3))
    with pytest.raises(CorpusError, match=r"no eps separates.*give eps"):
        cluster_tokens(blob, min_samples=60, seed=0)
    with pytest.raises(CorpusError, match="does not hold the core points"):
        load_assigner(Path("nowhere"))
