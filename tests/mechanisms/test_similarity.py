import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms import cka, cka_effect, principal_angles, subspace_overlap


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def orthogonal(d, seed=3):
    return np.linalg.qr(gaussian(d, d, seed))[0]


def unbiased_hsic(k, m):
    """Song et al. 2012, equation 5, from whole Gram matrices."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    return (
        np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 * (one @ k @ m @ one) / (n - 2)
    ) / (n * (n - 3))


def test_debiased_cka_is_the_ratio_of_unbiased_hsics():
    x, y = gaussian(40, 7), gaussian(40, 5, seed=1) + 3.0
    k, m = x @ x.T, y @ y.T
    wanted = unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert cka(x, y) == pytest.approx(wanted)


def test_plain_cka_is_the_ratio_of_frobenius_norms():
    x, y = gaussian(40, 7), gaussian(40, 5, seed=1) + 3.0
    a, b = x - x.mean(0), y - y.mean(0)
    wanted = np.linalg.norm(a.T @ b) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert cka(x, y, debiased=False) == pytest.approx(wanted)


@pytest.mark.parametrize("debiased", [True, False])
def test_rotation_scale_and_shift_do_not_matter(debiased):
    x = gaussian(100, 16)
    assert cka(x, x, debiased=debiased) == pytest.approx(1.0, abs=1e-12)
    assert cka(x, 3 * x @ orthogonal(16) + 5.0, debiased=debiased) == pytest.approx(1.0, abs=1e-12)
    assert cka(x, x * np.r_[np.full(8, 4.0), np.ones(8)], debiased=debiased) < 0.95  # stretching does


@pytest.mark.parametrize(("n", "plain"), [(500, 0.116), (50, 0.58)])
def test_independent_data_fool_plain_cka_only(n, plain):
    """METHODS §5: .116 at n = 500 and .58 at n = 50, for d = 64."""
    pairs = [(gaussian(n, 64, seed), gaussian(n, 64, 1000 + seed)) for seed in range(12)]
    assert np.mean([cka(x, y, debiased=False) for x, y in pairs]) == pytest.approx(plain, abs=0.015)
    assert np.mean([cka(x, y) for x, y in pairs]) == pytest.approx(0.0, abs=0.02)


def test_a_no_op_is_one():
    """AT-RP-1: also in half precision, where both runs hold the same rounded numbers."""
    states = gaussian(200, 32).astype(np.float16)
    assert cka(states, states.copy()) == pytest.approx(1.0, abs=1e-12)


def test_the_jackknife_covers_documents():
    rng = np.random.default_rng(0)
    documents = np.repeat(np.arange(30), 10)
    shared = rng.standard_normal((300, 6))
    x, y = shared + rng.standard_normal((300, 6)), shared + rng.standard_normal((300, 6))
    effect = cka_effect(x, y, documents)
    assert (effect.n, effect.unit, effect.estimate) == (30, "document", cka(x, y))
    assert effect.low < effect.estimate < effect.high
    assert effect.excludes_zero
    assert not cka_effect(gaussian(300, 6, 5), gaussian(300, 6, 6), documents).excludes_zero
    with pytest.raises(CorpusError, match="3 document"):
        cka_effect(x, y, documents % 3)


def test_rows_must_match_and_vary():
    with pytest.raises(CorpusError, match="got 5 and 6"):
        cka(gaussian(5, 2), gaussian(6, 2))
    with pytest.raises(CorpusError, match="never varies"):
        cka(gaussian(5, 2), np.ones((5, 2)))


def test_angles_between_planes():
    eye = np.eye(4)
    tilted = np.stack([eye[0], np.cos(0.3) * eye[1] + np.sin(0.3) * eye[2]], axis=1)
    assert principal_angles(eye[:, :2], tilted).tolist() == pytest.approx([0.0, 0.3], abs=1e-12)
    assert principal_angles(eye[:, :2], eye[:, 2:]).tolist() == pytest.approx([np.pi / 2] * 2)
    assert principal_angles(eye[:, :2], 5 * eye[:, :2] @ orthogonal(2)).tolist() == pytest.approx([0, 0], abs=1e-7)


def test_small_angles_are_not_lost():
    eye = np.eye(3)
    near = eye[:, :1] + 1e-9 * eye[:, 1:2]
    assert principal_angles(eye[:, :1], near)[0] == pytest.approx(1e-9, rel=1e-6)


def test_the_overlap_of_random_subspaces_is_chance():
    overlaps = [subspace_overlap(gaussian(64, 8, seed), gaussian(64, 8, 500 + seed)) for seed in range(30)]
    assert np.mean(overlaps) == pytest.approx(8 / 64, abs=0.01)
    assert subspace_overlap(gaussian(64, 8), gaussian(64, 8)) == pytest.approx(1.0)
