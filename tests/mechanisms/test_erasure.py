from contextlib import nullcontext

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tiny_families import inputs, logits, tiny

from imprint.errors import CorpusError
from imprint.interventions.activations import Intervention, intervene
from imprint.mechanisms import (
    leace,
    leaked_covariance,
    mean_difference_projection,
    random_projection,
    squared_edit,
)
from imprint.models import record


def world(seed=0, n=4000, d=20):
    """METHODS §5: two classes that differ along one direction, over dimensions of sd .2 to 3."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return rng.standard_normal((n, d)) * np.linspace(0.2, 3, d) + np.outer(labels, rng.standard_normal(d)), labels


def several(seed=0, n=600, d=8, k=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal((k, d))[labels], labels


def accuracy(states, labels):
    return LogisticRegression(max_iter=2000).fit(states, labels).score(states, labels)


def test_at_rp_8_leace_leaves_a_linear_reader_at_chance():
    states, labels = world()
    edit = leace(states, labels)
    majority = max(labels.mean(), 1 - labels.mean())
    assert accuracy(states, labels) > 0.95
    assert accuracy(edit(states), labels) == pytest.approx(majority, abs=2e-3)
    assert leaked_covariance(states, labels) > 0.1
    assert leaked_covariance(edit(states), labels) < 1e-14
    assert edit.rank == 1


def test_at_rp_8_leace_moves_less_than_the_projection_and_a_random_direction_erases_nothing():
    states, labels = world()
    difference, random = (
        mean_difference_projection(states, labels, cluster=1),
        random_projection(states, rank=1, seed=0),
    )
    assert leaked_covariance(difference(states), labels) < 1e-14  # erases as well, at a higher price
    assert squared_edit(leace(states, labels), states) < 0.85 * squared_edit(difference, states)
    assert accuracy(random(states), labels) > 0.95


def test_at_rp_8_the_figures_of_methods():
    """The world of METHODS, draw for draw: .990 -> .506, 6.76 against 8.94, one random direction .986."""
    rng = np.random.default_rng(0)
    for d in (2, 16, 64, 256):
        rng.standard_normal((3, d)), rng.integers(0, 3, 600), rng.standard_normal((600, d))
    labels = rng.integers(0, 2, 4000)
    states = rng.standard_normal((4000, 20)) @ np.diag(np.linspace(0.2, 3, 20))
    states = states + np.outer(labels, rng.standard_normal(20))
    edit = leace(states, labels)
    assert accuracy(states, labels) == pytest.approx(0.990, abs=5e-4)
    assert accuracy(edit(states), labels) == pytest.approx(0.506, abs=1e-3)
    assert squared_edit(edit, states) == pytest.approx(6.7559, abs=1e-4)
    assert squared_edit(mean_difference_projection(states, labels, cluster=1), states) == pytest.approx(
        8.9438, abs=1e-4
    )


def test_no_other_projection_that_erases_is_smaller():
    """Optimality (theorem 4.3): every oblique projection that kills the covariance along another kernel moves more."""
    states, labels = world(n=1000, d=6)
    edit, rng = leace(states, labels), np.random.default_rng(1)
    best = squared_edit(edit, states)
    centred = states - states.mean(0)
    cross = centred.T @ (labels - labels.mean()) / len(labels)
    for _ in range(20):
        read = edit.read[0] + 0.3 * rng.standard_normal(6)
        removed = np.outer(centred @ read / (read @ cross), cross)
        assert np.abs((centred - removed).T @ (labels - labels.mean())).max() < 1e-9
        assert np.square(removed).sum(1).mean() > best


def test_it_is_an_oblique_projection_that_keeps_the_mean():
    states, labels = several()
    edit = leace(states, labels)
    matrix = edit.matrix
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-10)
    assert np.abs(matrix - matrix.T).max() > 0.01
    np.testing.assert_allclose(edit(states).mean(0), states.mean(0), atol=1e-10)
    np.testing.assert_allclose(edit(states), edit.mean + (states - edit.mean) @ matrix.T, atol=1e-10)
    np.testing.assert_allclose(edit(edit(states)), edit(states), atol=1e-10)


def test_several_clusters_take_one_direction_less_than_there_are():
    states, labels = several()
    edit = leace(states, labels)
    assert edit.rank == 3
    assert leaked_covariance(edit(states), labels) < 1e-13
    for name in range(4):
        np.testing.assert_allclose(edit(states)[labels == name].mean(0), states.mean(0), atol=1e-10)


def test_one_cluster_against_the_rest_leaves_the_others_apart():
    states, labels = several()
    edit = leace(states, labels, cluster=2)
    assert edit.rank == 1
    assert leaked_covariance(edit(states), labels, cluster=2) < 1e-13
    assert leaked_covariance(edit(states), labels) > 0.01


def test_it_does_not_mind_units_or_redundant_dimensions():
    """Affine equivariance, and a dimension that repeats another (singular covariance)."""
    states, labels = several()
    doubled = np.concatenate([states, states[:, :1]], axis=1)
    edit = leace(doubled, labels)
    assert leaked_covariance(edit(doubled), labels) < 1e-12
    np.testing.assert_allclose(edit(doubled)[:, :8], leace(states, labels)(states), atol=1e-7)
    scaled = leace(1000 * states + 5, labels)
    np.testing.assert_allclose(scaled(1000 * states + 5), 1000 * leace(states, labels)(states) + 5, rtol=1e-9)


def test_fewer_rows_than_dimensions():
    rng = np.random.default_rng(0)
    states, labels = rng.standard_normal((30, 50)), np.arange(30) % 2
    assert leaked_covariance(leace(states, labels)(states), labels) < 1e-12


def test_half_floats():
    states, labels = world()
    half = states.astype(np.float16)
    assert leaked_covariance(leace(half, labels)(half.astype(np.float64)), labels) < 1e-13


def test_random_projections_have_the_rank_asked_and_a_seed():
    states, _ = several()
    edit = random_projection(states, rank=3, seed=1)
    np.testing.assert_allclose(edit.matrix, edit.matrix.T, atol=1e-12)
    assert np.linalg.matrix_rank(edit.matrix) == 5
    assert np.array_equal(edit.read, random_projection(states, rank=3, seed=1).read)
    assert not np.array_equal(edit.read, random_projection(states, rank=3, seed=2).read)


def test_the_erasure_holds_inside_a_running_model():
    """As an edit of a site: what the next block sees no longer covaries with the cluster, and dose .5 leaves half."""
    model, kwargs = tiny("gpt2").float(), inputs("gpt2", batch=30, length=9)
    labels = (kwargs["input_ids"].numpy() % 3).ravel()

    def states(*interventions):
        with (
            record(model, ["L1.resid_pre"]) as seen,
            intervene(model, interventions) if interventions else nullcontext(),
        ):
            logits(model, kwargs)
        return seen["L1.resid_pre"].reshape(-1, 24).numpy()

    edit = leace(states(), labels).edit()
    whole = Intervention(site="L0.resid_post", edit=edit)
    before, after = leaked_covariance(states(), labels), leaked_covariance(states(whole), labels)
    assert after < 1e-5 * before
    assert leaked_covariance(states(whole.at(0.5)), labels) == pytest.approx(before / 2, rel=1e-4)


def test_a_concept_that_does_not_vary_is_refused():
    states, labels = several()
    with pytest.raises(CorpusError, match="Cluster 9 holds all rows or none of the 600"):
        leace(states, labels, cluster=9)
    with pytest.raises(CorpusError, match="nothing to erase"):
        leace(states, np.zeros(600, dtype=np.int64))
