"""Labels equal scikit-learn's, numbers and border points included, whatever the data, the dtype and the way of computing."""

import numpy as np
import pytest
import torch
from blobs import gaussians, token_like
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from imprint.corpus.clusters import dbscan as dbscan_function
from imprint.corpus.clusters import density as density_module
from imprint.corpus.clusters.dbscan import dbscan
from imprint.corpus.clusters.density import Density
from imprint.corpus.clusters.forest import Forest
from imprint.errors import ConfigError, CorpusError

DTYPES = (torch.float32, torch.bfloat16)


def assert_like_sklearn(states, eps, min_samples, **options):
    found = dbscan(states, eps=eps, min_samples=min_samples, **options)
    reference = DBSCAN(eps=eps, min_samples=min_samples, algorithm="brute").fit(states)
    np.testing.assert_array_equal(found.labels, reference.labels_)
    np.testing.assert_array_equal(np.flatnonzero(found.core), reference.core_sample_indices_)
    return found


def kth_distance(states, k, quantile):
    distances = np.sort(np.linalg.norm(states[:200, None].astype(float) - states[None].astype(float), axis=2), axis=1)
    return float(np.quantile(distances[:, k], quantile))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_labels_equal_sklearn_over_several_tiles(dtype, quantile):
    states = token_like(2600, 40)
    eps = kth_distance(states, 10, quantile)
    found = assert_like_sklearn(states, eps, 10, dtype=dtype)
    assert found.num_clusters > 1
    assert 0 < found.noise_share < 1


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_labels_equal_sklearn_for_every_dtype_of_states(kind):
    states = token_like(700, 24).astype(kind)
    assert_like_sklearn(states, kth_distance(states, 5, 0.5), 5)


@settings(max_examples=40, deadline=None)
@given(
    points=st.integers(1, 60),
    d=st.integers(1, 4),
    size=st.integers(1, 6),
    eps=st.sampled_from([1.0, 2.0, 5.0]),
    min_samples=st.integers(1, 8),
    seed=st.integers(0, 10_000),
    dtype=st.sampled_from(DTYPES),
)
def test_ties_copies_and_border_points_are_resolved_as_sklearn_does(points, d, size, eps, min_samples, seed, dtype):
    # On a small grid most distances are exactly eps, points coincide, and border points touch several clusters.
    states = np.random.default_rng(seed).integers(0, size, (points, d)).astype(np.float32)
    assert_like_sklearn(states, eps, min_samples, dtype=dtype)


def test_a_border_point_between_two_clusters_goes_to_the_first_of_them():
    left, right = np.linspace(-1.4, -1.0, 5), np.linspace(1.0, 1.4, 5)
    for order, expected in (((right, left), 0), ((left, right), 0)):
        states = np.concatenate([[0.0], *order])[:, None]
        found = assert_like_sklearn(states, 1.0, 5)
        assert not found.core[0]
        assert found.labels[0] == expected
        assert found.num_clusters == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_pairs_a_hair_from_eps_are_decided_in_double_precision(dtype):
    # Far from the origin float32 has steps of 6e-5 here, and bfloat16 of 8: only exact verification can tell.
    apart = np.array([0.999999, 1.000001]) * 0.5
    states = np.array([[1000.0], [1000 + apart[0]], [3000.0], [3000 + apart[1]]])
    found = assert_like_sklearn(states, 0.5, 2, dtype=dtype)
    np.testing.assert_array_equal(found.labels, [0, 0, -1, -1])


def test_float32_states_that_nearly_cancel():
    generator = np.random.default_rng(0)
    states = (1e4 + generator.standard_normal((400, 8))).astype(np.float32)
    assert_like_sklearn(states, 1.7, 5)


def test_one_giant_cluster_is_not_compared_inside():
    states = np.random.default_rng(0).standard_normal((6000, 16)).astype(np.float32)
    found = assert_like_sklearn(states, 6.0, 5)
    assert found.num_clusters == 1
    assert found.compared < 0.65 * len(states) ** 2 / 2


def test_far_tiles_are_skipped():
    states, _ = gaussians(6000, 16, centres=6, distance=400)
    found = assert_like_sklearn(states, 6.0, 5)
    assert found.num_clusters == 6
    assert found.compared < 0.75 * len(states) ** 2 / 2


@pytest.mark.parametrize(
    ("quantile", "least", "most"), [(0.95, 0.97, 1.0), (0.5, 0.6, 0.9)], ids=["q95 recovers", "q50 does not"]
)
@pytest.mark.parametrize("d", [16, 64, 256])
def test_three_gaussians_of_methods_5(d, quantile, least, most):
    from sklearn.metrics import adjusted_rand_score

    states, truth = gaussians(600, d, distance=14 * (d / 16) ** 0.25)
    distances = np.sort(np.linalg.norm(states[:, None] - states[None], axis=2), axis=1)
    eps = float(np.quantile(distances[:, 5], quantile))
    assert least <= adjusted_rand_score(truth, dbscan(states, eps=eps, min_samples=5).labels) <= most


def test_overlapping_blobs_are_not_divided():
    from sklearn.metrics import adjusted_rand_score

    states, truth = gaussians(600, 2, distance=2)
    distances = np.sort(np.linalg.norm(states[:, None] - states[None], axis=2), axis=1)
    labels = dbscan(states, eps=float(np.quantile(distances[:, 5], 0.95)), min_samples=5).labels
    assert abs(adjusted_rand_score(truth, labels)) < 0.05


def test_undecided_pairs_stay_few_whatever_the_number_of_neighbours(monkeypatch):
    monkeypatch.setattr(density_module, "_ROOM", 100)
    density = Density(400, 10)
    for row in range(400):
        right = np.arange(row + 1, 400)
        density.add(np.full(len(right), row), right)
        density.settle()
        assert density._kept <= 400 * 10
    assert density.core.all()
    assert len(np.unique(density.forest.roots(np.arange(400)))) == 1


@settings(max_examples=30, deadline=None)
@given(edges=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_components_equal_scipys(edges):
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    left, right = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    forest = Forest(20)
    forest.join(left, right)
    _, expected = connected_components(coo_matrix((np.ones(len(edges)), (left, right)), shape=(20, 20)), directed=False)
    roots = forest.roots(np.arange(20))
    np.testing.assert_array_equal(roots[:, None] == roots[None], expected[:, None] == expected[None])


def test_order_of_points_changes_numbers_and_nothing_else():
    states = token_like(1500, 20)
    eps = kth_distance(states, 10, 0.6)
    order = np.random.default_rng(1).permutation(len(states))
    straight, shuffled = dbscan(states, eps=eps), dbscan(states[order], eps=eps)
    np.testing.assert_array_equal(straight.core[order], shuffled.core)
    pairs = {(a, b) for a, b in zip(straight.labels[order][shuffled.core], shuffled.labels[shuffled.core], strict=True)}
    assert len(pairs) == straight.num_clusters == shuffled.num_clusters


def test_finished_points_are_counted():
    counted = []
    dbscan(token_like(2100, 8), eps=1.0, advance=counted.append)
    assert sum(counted) == 2100
    assert min(counted) >= 0


@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_radius_that_is_none_is_refused(eps):
    with pytest.raises(ConfigError, match=r"eps=.*positive"):
        dbscan(np.ones((3, 2)), eps=eps)


def test_options_and_states_that_define_no_clusters_are_refused():
    with pytest.raises(ConfigError, match="min_samples=0 must be at least 1"):
        dbscan(np.ones((3, 2)), eps=1.0, min_samples=0)
    with pytest.raises(CorpusError, match="at least one"):
        dbscan(np.ones((0, 2)), eps=1.0)
    states = np.ones((5000, 2), dtype=np.float16)
    states[4321, 1] = np.nan
    with pytest.raises(CorpusError, match="point 4321 holds NaN or infinity"):
        dbscan(states, eps=1.0)


def test_a_torch_that_may_round_float32_products_is_refused():
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(ConfigError, match="highest"):
            dbscan(np.ones((3, 2)), eps=1.0)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_door_shows_the_function():
    assert dbscan_function is dbscan
