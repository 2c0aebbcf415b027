import numpy as np
import pytest

from imprint.errors import ConfigError
from imprint.mechanisms import nonnegative_parts, principal_directions


@pytest.fixture(scope="module")
def states():
    rng = np.random.default_rng(0)
    return rng.standard_normal((300, 6)) * [5, 4, 3, 2, 1, 0.5] @ np.linalg.qr(rng.standard_normal((6, 6)))[0] + 2.0


# Principal directions


@pytest.mark.parametrize("centred", [True, False])
def test_the_directions_are_those_of_the_svd(states, centred):
    found = principal_directions(states, components=4, centred=centred)
    _, sizes, directions = np.linalg.svd(states - states.mean(0) if centred else states, full_matrices=False)
    np.testing.assert_allclose(found.singular_values, sizes[:4])
    np.testing.assert_allclose(np.abs((found.directions * directions[:4]).sum(1)), 1.0)
    np.testing.assert_allclose(found.explained, (sizes**2 / (sizes**2).sum())[:4])
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(4), atol=1e-12)


def test_uncentred_directions_start_at_the_mean():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((500, 8)) + 10 * np.eye(8)[3]
    uncentred = principal_directions(states, components=1, centred=False)
    assert uncentred.directions[0, 3] > 0.99
    assert uncentred.centre.tolist() == [0.0] * 8
    assert abs(principal_directions(states, components=1).directions[0, 3]) < 0.9


def test_the_sign_is_fixed(states):
    plain = principal_directions(states, components=3)
    rows = np.abs(plain.directions).argmax(1)
    assert (plain.directions[np.arange(3), rows] > 0).all()
    mirrored = principal_directions(-states, components=3)
    np.testing.assert_allclose(plain.directions, mirrored.directions, atol=1e-10)
    toward = -plain.directions.sum(0)
    turned = principal_directions(states, components=3, toward=toward)
    np.testing.assert_allclose(turned.directions, -plain.directions, atol=1e-10)


def test_only_the_rows_of_the_cluster_count(states):
    rows = np.arange(0, 300, 2)
    found = principal_directions(states, components=2, rows=rows)
    np.testing.assert_allclose(found.directions, principal_directions(states[rows], components=2).directions)
    assert found.n == 150


def test_a_planted_direction_is_found():
    rng = np.random.default_rng(0)
    planted = np.linalg.qr(rng.standard_normal((32, 1)))[0][:, 0]
    states = rng.standard_normal((400, 32)) + 5 * np.outer(rng.standard_normal(400), planted)
    found = principal_directions(states, components=1)
    assert abs(found.directions[0] @ planted) > 0.98
    assert found.explained[0] == pytest.approx(26 / 57, abs=0.05)


def test_more_components_than_there_are(states):
    with pytest.raises(ConfigError, match="7 components were asked of activations that have 1 to 6"):
        principal_directions(states, components=7)
    with pytest.raises(ConfigError, match="1 to 3"):
        nonnegative_parts(states[:3], components=4, seed=0)


# Non-negative parts


def planted_parts(seed=0):
    """Sums of two non-negative parts that share no dimension."""
    rng = np.random.default_rng(seed)
    parts = np.zeros((2, 10))
    parts[0, :4], parts[1, 5:9] = 1.0, 2.0
    return rng.gamma(1.0, size=(200, 2)) @ parts, parts


@pytest.mark.parametrize("negatives", ["split", "clip"])
def test_planted_parts_are_found(negatives):
    states, parts = planted_parts()
    found = nonnegative_parts(states, components=2, seed=0, negatives=negatives)
    unit = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(found.directions @ unit.T), np.eye(2)[::-1], atol=0.02)
    assert found.error < 1e-3
    assert found.lost == 0.0
    assert np.square(found.weights).sum(0)[0] >= np.square(found.weights).sum(0)[1]
    np.testing.assert_allclose(found.weights @ found.parts[:, :10], states, atol=0.15)


def test_split_keeps_negative_parts_and_clip_says_what_it_lost():
    states, _parts = planted_parts()
    flipped = states * np.where(np.arange(10) >= 5, -1.0, 1.0)
    found = nonnegative_parts(flipped, components=2, seed=0, negatives="split")
    assert found.directions[0, 5:9].max() < -0.4
    assert found.parts.shape == (2, 20)
    assert found.lost == 0.0
    clipped = nonnegative_parts(flipped, components=1, seed=0, negatives="clip")
    share = np.square(flipped[:, 5:9]).sum() / np.square(flipped).sum()
    assert clipped.lost == pytest.approx(share)
    assert clipped.directions[0, 5:].tolist() == [0.0] * 5


def test_shift_works_from_the_minimum():
    states, _ = planted_parts()
    one = nonnegative_parts(states, components=2, seed=0, negatives="shift")
    other = nonnegative_parts(states - 7.0, components=2, seed=0, negatives="shift")
    np.testing.assert_allclose(one.parts, other.parts, atol=1e-6)


def test_an_unfinished_fit_says_so():
    rng = np.random.default_rng(0)
    found = nonnegative_parts(rng.standard_normal((60, 12)), components=5, seed=0, max_iterations=2)
    assert found.note == "not converged after 2 iterations"
    assert 0 < found.error < 1
