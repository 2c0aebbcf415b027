"""The k-distance curve is exact, its knees lie where it bends, and data without clusters get a warning."""

import numpy as np
import pytest
from blobs import gaussians
from sklearn.neighbors import NearestNeighbors

from imprint.corpus.clusters import epsilon_report, k_distances, knees
from imprint.errors import ConfigError, CorpusError


def test_k_distances_equal_sklearns():
    states = np.random.default_rng(0).standard_normal((2500, 12)).astype(np.float32)
    found = k_distances(states, k=4, sample=2500, seed=0)
    expected = NearestNeighbors(n_neighbors=5).fit(states).kneighbors(states)[0][:, 4]
    np.testing.assert_allclose(found, np.sort(expected), rtol=1e-4)


def test_knees_lie_where_the_curve_bends():
    curve = np.concatenate([np.linspace(1, 1.1, 80), np.linspace(1.2, 9, 20)])
    assert all(1.05 <= knee <= 1.6 for knee in knees(curve))
    assert knees(np.ones(10)) == ()


def test_separated_clusters_get_a_suggestion_that_finds_them():
    states, _ = gaussians(1500, 16, distance=60)
    report = epsilon_report(states, min_samples=5, seed=0)
    assert report.warning == ""
    assert report.suggested is not None
    chosen = next(candidate for candidate in report.candidates if candidate.eps == report.suggested)
    assert chosen.num_clusters == 3
    assert chosen.largest_share < 0.5
    assert chosen.noise_share < 0.1
    noise = [candidate.noise_share for candidate in report.candidates]
    assert noise == sorted(noise, reverse=True)


def test_one_blob_gets_a_warning_and_no_suggestion():
    states = np.random.default_rng(0).standard_normal((1500, 3))
    report = epsilon_report(states, min_samples=100, seed=0)
    assert report.suggested is None
    assert "no eps separates" in report.warning
    assert "giant cluster" in report.warning
    assert report.as_dict()["suggested"] is None


def test_noise_alone_is_named():
    states = np.random.default_rng(0).standard_normal((400, 200))
    report = epsilon_report(states, min_samples=50, given=(1.0,), seed=0)
    assert report.warning
    given = next(candidate for candidate in report.candidates if candidate.reason == "given")
    assert (given.noise_share, given.num_clusters, given.largest_share) == (1.0, 0, 0.0)


def test_eps_of_a_sample_is_stretched_to_its_density():
    states, _ = gaussians(4000, 16, distance=60)
    whole, part = epsilon_report(states, sample=4000, seed=0), epsilon_report(states, sample=800, seed=0)
    assert part.sample == 800
    for full, thin in zip(whole.candidates, part.candidates, strict=True):
        assert full.eps == thin.eps
        assert abs(full.noise_share - thin.noise_share) < 0.12


def test_options_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="min_samples=1 must lie between 2 and 9"):
        epsilon_report(np.ones((9, 2)), min_samples=1, seed=0)
    with pytest.raises(ConfigError, match="k=9 must lie between 1 and 8"):
        k_distances(np.ones((9, 2)), k=9, seed=0)
    with pytest.raises(CorpusError, match="NaN"):
        k_distances(np.full((9, 2), np.nan), k=1, seed=0)
