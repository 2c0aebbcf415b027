from itertools import permutations

import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats import assignment, matched_p, matrix_correlation, specificity

TRUTH = np.array([[0.0, 0.6, 0.1], [0.5, 0.0, 0.05], [0.1, 0.0, 0.7]])


def test_specificity_is_relative_to_the_other_abilities():
    found = specificity(TRUTH)
    assert found[0] == pytest.approx([-0.35, 0.55, -0.2])
    assert specificity(np.full((3, 3), 0.4)) == pytest.approx(np.zeros((3, 3)))
    assert specificity(TRUTH + np.array([[1.0], [2.0], [3.0]])) == pytest.approx(found)  # a general effect drops out


def test_a_permutation_is_recovered():
    found = assignment(TRUTH)
    assert found.abilities == (1, 0, 2)
    assert found.dominant == 3
    assert found.recovers([1, 0, 2])
    assert not found.recovers([0, 1, 2])
    assert found.margin == pytest.approx(0.6 - 0.25 / 6)
    assert 1 / 27 < found.p < 0.3  # three rows of three: shuffles reach the same match in 6 of 27


def test_every_planted_permutation_of_four_is_recovered():
    rng = np.random.default_rng(0)
    for order in permutations(range(4)):
        phi = 0.1 * rng.random((4, 4))
        phi[np.arange(4), list(order)] += 0.8
        found = assignment(phi, draws=200)
        assert found.recovers(order)
        assert matched_p(phi, order) == 1 / 24


def test_null_matrices_are_recovered_no_more_often_than_chance():
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(200, 4, 4))
    assert np.mean([assignment(phi, draws=1).recovers(range(4)) for phi in matrices]) < 0.05
    assert np.mean([matched_p(phi, range(4)) <= 0.05 for phi in matrices]) == pytest.approx(1 / 24, abs=0.04)
    assert np.mean([assignment(phi, draws=200).p <= 0.05 for phi in matrices[:60]]) < 0.15


def test_a_uniform_effect_recovers_nothing():
    found = assignment(np.full((4, 4), 0.5), draws=100)
    assert found.dominant == 0
    assert found.p == 1.0
    assert found.margin == 0


def test_correlation_with_the_truth_and_its_exact_p():
    rng = np.random.default_rng(0)
    psi = np.eye(4) + 0.05 * rng.random((4, 4))
    same = matrix_correlation(psi, psi)
    assert same.rho == pytest.approx(1.0)
    assert (same.exact, same.relabellings, same.cells) == (True, 576, 16)
    assert same.p == 1 / 576
    assert matrix_correlation(np.exp(3 * psi), psi).p == same.p
    diagonal = matrix_correlation(np.eye(4) + 0.05 * rng.random((4, 4)), psi)
    assert diagonal.rho > 0.4
    assert diagonal.p < 0.06
    swapped = matrix_correlation(psi[[1, 0, 3, 2]], psi)  # the mutation: clusters named wrongly
    assert swapped.rho < diagonal.rho
    assert swapped.p > 0.1


def test_correlation_of_unrelated_matrices_is_null():
    rng = np.random.default_rng(2)
    p = [matrix_correlation(rng.normal(size=(4, 4)), rng.normal(size=(4, 4))).p for _ in range(150)]
    assert np.mean(np.array(p) <= 0.05) < 0.11
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_many_labels_are_sampled():
    rng = np.random.default_rng(0)
    found = matrix_correlation(*2 * [rng.normal(size=(8, 6))], draws=500)
    assert (found.exact, found.relabellings) == (False, 500)
    assert found.p == 1 / 501


def test_refuses_shapes():
    with pytest.raises(InputError, match="cannot be compared"):
        matrix_correlation(np.eye(3), np.eye(4))
    with pytest.raises(InputError, match="one to one"):
        assignment(np.zeros((4, 3)))
    with pytest.raises(InputError, match="only one"):
        specificity(np.zeros((4, 1)))
    with pytest.raises(InputError, match="needs each of 0 to 3"):
        matched_p(np.eye(4), [0, 0, 1, 2])
