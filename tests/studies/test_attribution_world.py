import numpy as np
import pytest
import torch
from attribution_text import small_world

from imprint.attribution.engine import query_gradient, row_gradients
from imprint.runs import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def opened(folder):
    return small_world(folder).open(Store(folder / "store"), 0)


def test_values_are_those_of_the_queries(opened):
    """One batched pass gives what every query gives by itself."""
    params = opened.training.run()
    alone = opened.training.values(params, opened.asked()).double().numpy()
    np.testing.assert_allclose(opened.values(params), alone, rtol=1e-5)
    with torch.no_grad():
        held = [float(query.measure(opened.trained)) for query in opened.asked()]
    np.testing.assert_allclose(held, alone, rtol=1e-5)


def test_training_teaches(opened):
    before, after = opened.values(opened.training.initial), opened.values(opened.training.run())
    assert after.mean() > before.mean()


def test_retraining_without_nothing_is_the_run_and_without_rows_is_another(folder, opened):
    retrain = small_world(folder).retrainer(Store(folder / "store"), 0)
    whole = retrain(())
    np.testing.assert_array_equal(whole, opened.values(opened.training.run()))
    assert np.abs(retrain((1, 4)) - whole).max() > 0
    assert np.array_equal(retrain((1, 4)), retrain((1, 4)))


def test_metagradients_are_the_effect_of_a_row_to_first_order(folder):
    """In double precision, by masking one row: close for one row of few."""
    world = small_world(folder, double=True, epochs=1)
    opened = world.open(Store(folder / "store"), 0)
    scores = opened.training.metagradients(opened.asked())[0].numpy()
    retrain = world.retrainer(Store(folder / "store"), 0)
    without = np.stack([retrain(()) - retrain((row,)) for row in range(4)], axis=1)
    assert np.corrcoef(scores[:, :4].ravel(), without.ravel())[0, 1] > 0.9


def test_another_seed_is_another_order_of_the_same_rows(folder, opened):
    other = small_world(folder).open(Store(folder / "store"), 1)
    assert np.array_equal(other.rows.tokens, opened.rows.tokens)
    assert all(torch.equal(value, opened.training.initial[name]) for name, value in other.training.initial.items())
    assert not torch.equal(other.training.stages[0].batches, opened.training.stages[0].batches)


def test_the_subspace_is_every_matrix(opened):
    """Gradients of the blocks are those that autograd gives, unembedding and embedding included."""
    problem = opened.problem(0)
    found = sum(
        float(piece.double().square().sum())
        for piece in query_gradient(problem.model, problem.subspace, problem.queries[0])
    )
    matrices = [p for name, p in problem.model.named_parameters() if "ln_" not in name and "wpe" not in name]
    wanted = torch.autograd.grad(problem.queries[0].measure(problem.model), matrices)
    assert found == pytest.approx(sum(float(piece.double().square().sum()) for piece in wanted), rel=1e-4)
    rows = row_gradients(problem.model, problem.subspace, problem.tokens[:2], problem.lengths[:2])
    assert all(piece.shape[0] == 2 for piece in rows)
