from dataclasses import replace

import numpy as np
import pytest
import torch
from method_worlds import ROWS, problem, query_gradients, row_loss_gradients, trained_problem

from imprint.attribution.methods import METHODS, ProjectedGradients
from imprint.attribution.methods.projected import whitened_products
from imprint.attribution.methods.retraining import random_subsets
from imprint.attribution.methods.row_features import gradient_features, random_projection
from imprint.errors import ConfigError

PLAIN = ProjectedGradients(dimension=None, damping_relative=0.3)


@pytest.fixture(scope="module")
def asked():
    return problem()


@pytest.fixture(scope="module")
def gradients(asked):
    """Rows' and queries' gradients, each parameter once."""
    return row_loss_gradients(asked), query_gradients(asked)


def closed_form(rows, queries, damping, unit_norm=False):
    moments = rows.T @ rows
    ridge = damping * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype)
    inverse = torch.linalg.inv(moments + ridge)
    products = queries @ inverse @ rows.T
    if unit_norm:
        lengths = [(side @ inverse * side).sum(1).sqrt() for side in (queries, rows)]
        products = products / (lengths[0][:, None] * lengths[1][None, :])
    return products


def by_singular_values(rows, queries, damping):
    """The closed form where the matrix of second moments would be large."""
    left, values, right = torch.linalg.svd(rows, full_matrices=False)
    ridge = damping * values.square().sum() / rows.shape[1]
    return (queries @ right.T) @ torch.diag(values / (values.square() + ridge)) @ left.T


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("shape", [(30, 6), (6, 30)])
def test_whitened_products_are_the_closed_form_with_more_rows_or_more_features(shape, unit_norm):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(*shape, generator=generator, dtype=torch.float64)
    queries = torch.randn(3, shape[1], generator=generator, dtype=torch.float64)
    ours = whitened_products(rows, queries, 0.2, unit_norm=unit_norm)
    torch.testing.assert_close(ours, closed_form(rows, queries, 0.2, unit_norm), rtol=1e-8, atol=1e-10)
    if unit_norm:
        assert ours.abs().max() <= 1


def test_without_projection_and_normalisation_it_is_the_closed_form_of_the_gradients(asked, gradients):
    np.testing.assert_allclose(PLAIN.scores(asked), -by_singular_values(*gradients, 0.3).numpy(), rtol=1e-6, atol=1e-9)


def test_strong_damping_gives_the_gradient_dot_product(asked):
    plain = METHODS["gradient dot"].scores(asked)
    strong = ProjectedGradients(dimension=None, damping_relative=1e9).scores(asked)
    np.testing.assert_allclose(strong / np.abs(strong).max(), plain / np.abs(plain).max(), rtol=1e-5, atol=1e-7)


def test_optimiser_normalisation_divides_by_the_root_of_the_second_moment(asked, gradients):
    rows, queries = gradients
    root = rows.square().mean(0)
    root = (root + 1e-6 * root.mean()).sqrt()
    scores = ProjectedGradients(dimension=None, optimiser=True, damping_relative=0.3).scores(asked)
    np.testing.assert_allclose(
        scores, -by_singular_values(rows / root, queries / root, 0.3).numpy(), rtol=1e-6, atol=1e-9
    )


def test_trackstar_scores_are_cosines(asked):
    method = METHODS["TrackStar"]
    assert (method.optimiser, method.unit_norm) == (True, True)
    assert np.abs(method.scores(asked)).max() <= 1


def test_a_projection_keeps_inner_products_in_expectation(asked):
    generator = torch.Generator().manual_seed(0)
    shapes = [asked.subspace.block_shape(block) for block in asked.subspace.blocks]
    pair = [torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in shapes]
    exact = sum(float((stack[0] * stack[1]).sum()) for stack in pair)
    estimates = [float(torch.dot(*random_projection(asked.subspace, 8, seed)(pair))) for seed in range(200)]
    assert np.mean(estimates) == pytest.approx(exact, abs=4 * np.std(estimates) / np.sqrt(len(estimates)))


def test_short_sides_are_not_projected(asked):
    rows, _ = gradient_features(asked, asked.model, dimension=100, optimiser=False, batch=64)
    whole, _ = gradient_features(asked, asked.model, dimension=None, optimiser=False, batch=64)
    assert torch.equal(rows, whole)
    small, queries = gradient_features(asked, asked.model, dimension=4, optimiser=False, batch=64)
    assert small.shape == (8, 16 * len(asked.subspace.blocks))
    assert queries.shape == (2, small.shape[1])


def test_the_seed_draws_the_projection_and_nothing_else(asked):
    small = ProjectedGradients(dimension=3)
    assert np.array_equal(small.scores(asked), small.scores(asked))
    assert not np.allclose(small.scores(problem(seed=1)), small.scores(asked))
    np.testing.assert_allclose(PLAIN.scores(problem(seed=1)), PLAIN.scores(asked))


@pytest.mark.parametrize("rows", [4, 20])
def test_an_undamped_singular_matrix_is_refused(rows):
    features = torch.randn(rows, 10, dtype=torch.float64)
    features[:, 3] = 0
    with pytest.raises(ConfigError, match="damping_relative"):
        whitened_products(features, features[:2], 0.0)


@pytest.fixture(scope="module")
def trained():
    return trained_problem()


def test_the_last_checkpoint_alone_is_the_final_model(trained):
    last = ProjectedGradients(ensemble="checkpoints", members=1).scores(trained)
    np.testing.assert_allclose(last, ProjectedGradients().scores(trained), rtol=1e-8)


def test_an_ensemble_of_checkpoints_is_the_mean_over_them(trained):
    apart = []
    for checkpoint in trained.training.checkpoints([3, 5]):
        model = trained.training.holding(checkpoint.params)
        apart.append(PLAIN.scores(replace(trained, model=model, subspace=trained.subspace.on(model))))
    both = replace(PLAIN, ensemble="checkpoints", members=2)
    assert both.needs_training
    np.testing.assert_allclose(both.scores(trained), np.mean(apart, axis=0), rtol=1e-8)


def test_an_ensemble_of_subsets_is_retrained_on_halves(trained):
    halves = replace(PLAIN, ensemble="subsets", members=3)
    apart = []
    for mask in random_subsets(3, ROWS, 0.5, seed=0):
        model = trained.training.holding(trained.training.run([torch.from_numpy(mask)]))
        apart.append(PLAIN.scores(replace(trained, model=model, subspace=trained.subspace.on(model))))
    np.testing.assert_allclose(halves.scores(trained), np.mean(apart, axis=0), rtol=1e-8)


def test_every_member_has_a_projection_of_its_own(asked):
    draws = [gradient_features(asked, asked.model, dimension=3, optimiser=False, batch=64, draw=n)[0] for n in (0, 1)]
    assert not torch.allclose(*draws)


def test_there_is_one_final_model():
    with pytest.raises(ConfigError, match="one final model"):
        ProjectedGradients(members=3).scores(problem())
