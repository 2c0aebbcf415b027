"""DBCV equals the reference implementation; stability and concerns tell separated clusters from overlapping ones."""

import numpy as np
import pytest
from blobs import gaussians

from imprint.corpus.clusters import cluster_quality, dbcv
from imprint.corpus.clusters.dbscan import dbscan
from imprint.errors import CorpusError


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("d", [2, 5, 20])
@pytest.mark.parametrize("distance", [4, 12, 40])
def test_dbcv_equals_hdbscans(d, distance):
    validity = pytest.importorskip("hdbscan.validity")
    states, labels = gaussians(200, d, distance=distance, seed=d)
    labels[::17] = -1
    assert dbcv(states, labels) == pytest.approx(validity.validity_index(states, labels), abs=1e-9)


def test_dbcv_of_a_hand_made_case():
    # Two pairs: inside distance 1, gap 9. Trees of two points have no inner node, so point 0 stands for each.
    states, labels = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    assert dbcv(states, labels) == pytest.approx((10 - 1) / 10)
    assert dbcv(np.append(states, [[50.0]], axis=0), np.append(labels, -1)) == pytest.approx(0.8 * 0.9)


def test_dbcv_stays_finite_in_hundreds_of_dimensions_and_with_copies():
    states, labels = gaussians(150, 576, distance=100)
    states[1] = states[0]
    assert 0 < dbcv(states, labels) <= 1


def test_dbcv_needs_two_clusters():
    with pytest.raises(CorpusError, match="there are 1 of two points or more"):
        dbcv(np.zeros((4, 2)), np.array([0, 0, 1, -1]))


def test_separated_clusters_are_stable_and_raise_no_concern():
    states, _ = gaussians(900, 8, distance=60)
    labels = dbscan(states, eps=3.0, min_samples=5).labels
    quality = cluster_quality(states, labels, eps=3.0, min_samples=5, seed=0)
    assert quality.num_clusters == 3
    assert quality.stability.low > 0.9
    assert quality.stability.n == 5
    assert quality.dbcv > 0.3
    assert quality.silhouette > 0.5
    assert quality.concerns == ()


def test_one_giant_cluster_is_a_concern():
    states, _ = gaussians(900, 2, distance=2)
    labels = dbscan(states, eps=1.0, min_samples=5).labels
    quality = cluster_quality(states, labels, eps=1.0, min_samples=5, seed=0)
    assert quality.silhouette is None
    assert quality.dbcv is None
    assert any("nothing is divided" in concern for concern in quality.concerns)


def test_labels_from_nowhere_do_not_repeat():
    states = np.random.default_rng(0).standard_normal((600, 4))
    labels = np.random.default_rng(1).integers(0, 3, 600)
    quality = cluster_quality(states, labels, eps=1.0, min_samples=5, seed=0)
    assert abs(quality.stability.estimate) < 0.05
    assert any("do not repeat" in concern for concern in quality.concerns)
    assert any("DBCV" in concern for concern in quality.concerns)
    assert quality.as_dict()["concerns"] == list(quality.concerns)


def test_a_thin_resample_gets_a_larger_radius():
    states, _ = gaussians(3000, 8, distance=60)
    labels = dbscan(states, eps=2.6, min_samples=5).labels
    quality = cluster_quality(states, labels, eps=2.6, min_samples=5, limit=300, seed=0)
    assert quality.stability.estimate > 0.7


def test_labels_that_are_not_one_a_state_are_refused():
    with pytest.raises(CorpusError, match="2 labels do not belong to 3 states"):
        cluster_quality(np.ones((3, 2)), np.zeros(2, dtype=np.int64), eps=1.0, min_samples=2, seed=0)
