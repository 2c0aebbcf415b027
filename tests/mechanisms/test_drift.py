import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import LedoitWolf

from imprint.errors import CorpusError, InputError
from imprint.mechanisms import drift, mahalanobis, unpaired_floor


def cluster(seed=0, documents=30, each=20, d=8):
    """Tokens of documents that differ from each other."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(documents), each)
    return rng.standard_normal((documents, d))[numbers] + rng.standard_normal((len(numbers), d)), numbers


def test_at_rp_4():
    covariance, difference = np.diag([1.0, 4.0, 9.0]), np.array([1.0, 2.0, 3.0])
    assert mahalanobis(difference, covariance) == pytest.approx(1.7320508075688772, abs=1e-15)
    assert mahalanobis(difference, covariance) == pytest.approx(
        scipy_mahalanobis(difference, np.zeros(3), np.linalg.inv(covariance)), abs=1e-15
    )


def test_correlated_dimensions_and_units():
    rng = np.random.default_rng(0)
    root, difference, units = rng.standard_normal((5, 5)), rng.standard_normal(5), np.diag([1, 10, 0.1, 3, 7.0])
    covariance = root @ root.T
    plain = mahalanobis(difference, covariance)
    assert plain == pytest.approx(scipy_mahalanobis(difference, np.zeros(5), np.linalg.inv(covariance)))
    assert mahalanobis(units @ difference, units @ covariance @ units) == pytest.approx(plain)


def test_the_floor_of_unpaired_samples():
    """METHODS §5: .41, .96, 1.88 and .255 are means of 30 draws; the formula is the root mean square, a little higher."""
    rng = np.random.default_rng(0)
    for d, n, mean, formula in (
        (16, 200, 0.41, 0.419),
        (64, 200, 0.96, 0.977),
        (128, 200, 1.88, 1.912),
        (64, 2000, 0.255, 0.257),
    ):
        draws = []
        for _ in range(20 if n < 1000 else 5):
            one, other = rng.standard_normal((2, n, d))
            draws.append(mahalanobis(one.mean(0) - other.mean(0), np.cov(one.T)))
        assert unpaired_floor(n, d) == pytest.approx(formula, abs=1e-3)
        assert np.mean(draws) == pytest.approx(mean, rel=0.05)
        assert np.sqrt(np.square(draws).mean()) == pytest.approx(unpaired_floor(n, d), rel=0.05)
    with pytest.raises(InputError, match="n > d"):
        unpaired_floor(18, 16)


def test_a_no_op_has_no_drift():
    """AT-RP-1."""
    states, documents = cluster()
    found = drift(states, states.copy(), documents)
    assert (found.distance.estimate, found.distance.low, found.distance.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert found.floor > 0.1  # what an unpaired comparison would have called drift


def test_a_shift_is_measured_in_the_clusters_own_spread():
    states, documents = cluster()
    step = np.array([0.3, 0, 0, -0.2, 0, 0, 0, 0])
    found = drift(states, states + step, documents)
    assert found.distance.estimate == pytest.approx(mahalanobis(step, LedoitWolf().fit(states).covariance_))
    assert found.p == pytest.approx(1 / 1000)
    assert found.null_95 < found.distance.estimate
    assert not found.distance.has_width  # every document moved alike


def test_the_estimate_is_over_tokens_and_the_interval_over_documents():
    states, _ = cluster()
    documents = np.sort(np.random.default_rng(1).integers(0, 25, len(states)))
    after = states + np.random.default_rng(2).standard_normal(25)[documents, None] * 0.3 + 0.2
    found = drift(states, after, documents)
    difference = (after - states).mean(0)
    assert found.distance.estimate == pytest.approx(mahalanobis(difference, LedoitWolf().fit(states).covariance_))
    assert found.distance.low < found.distance.estimate < found.distance.high
    assert (found.distance.n, found.distance.unit) == (25, "document")
    order = np.random.default_rng(3).permutation(len(states))
    shuffled = drift(states[order], after[order], documents[order])
    assert shuffled.distance.estimate == pytest.approx(found.distance.estimate)
    assert shuffled.p == found.p


def test_noise_that_differs_by_document_is_not_called_drift():
    """Under the null p is uniform: the rate at .05 is .05, though D_M itself is never 0."""
    called, distances = 0, []
    for seed in range(120):
        states, documents = cluster(seed, documents=12, each=4, d=4)
        noise = np.random.default_rng(500 + seed).standard_normal((12, 4))[documents]
        found = drift(states, states + 0.5 * noise, documents, draws=199)
        called += found.p <= 0.05
        distances.append(found.distance.estimate)
    assert called / 120 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    assert min(distances) > 0.02


def test_half_floats_from_a_memory_map(tmp_path):
    states, documents = cluster()
    np.save(tmp_path / "before.npy", states.astype(np.float16))
    np.save(tmp_path / "after.npy", (states + 0.5).astype(np.float16))
    before, after = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("before", "after"))
    found = drift(before, after, documents)
    assert found.distance.estimate == pytest.approx(drift(states, states + 0.5, documents).distance.estimate, rel=1e-3)


def test_fewer_tokens_than_dimensions():
    states, documents = cluster(documents=10, each=2, d=64)
    found = drift(states, states + 1.0, documents)
    assert np.isfinite(found.distance.estimate)
    assert found.shrinkage > 0.05


def test_samples_that_are_not_paired_are_refused():
    states, documents = cluster()
    with pytest.raises(CorpusError, match="600 before, 599 after"):
        drift(states, states[1:], documents)
    with pytest.raises(CorpusError, match="2 document"):
        drift(states, states, documents % 2)
