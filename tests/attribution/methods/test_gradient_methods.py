import numpy as np
import pytest
import torch
from attribution_models import ragged_rows
from method_worlds import named, problem, query_gradients, row_loss_gradients, scaled

from imprint.attribution.engine import Query
from imprint.attribution.methods import GradientCosine, GradientDot, GradientNorm, Loss
from imprint.errors import SelfCheckFailed


@pytest.fixture(scope="module")
def asked():
    return problem()


@pytest.fixture(scope="module")
def rows(asked):
    return row_loss_gradients(asked)


@pytest.fixture(scope="module")
def queries(asked):
    return query_gradients(asked)


def test_dot_is_minus_the_product_of_the_two_gradients(asked, rows, queries):
    np.testing.assert_allclose(GradientDot().scores(asked), -(queries @ rows.T).numpy(), rtol=1e-9, atol=1e-9)


def test_a_small_step_on_a_row_raises_the_query_by_its_score(asked, rows):
    row, step = 2, 1e-6
    scores = GradientDot().scores(asked)[:, row]
    parameters = [p for module in asked.subspace.modules.values() for p in (module.weight, module.bias)]
    with torch.no_grad():
        before = np.array([float(query.measure(asked.model)) for query in asked.queries])
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(parameters) - step * rows[row], parameters
        )
        after = np.array([float(query.measure(asked.model)) for query in asked.queries])
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(parameters) + step * rows[row], parameters
        )
    np.testing.assert_allclose((after - before) / step, scores, rtol=1e-3)


def test_cosine_does_not_depend_on_how_long_the_gradients_are(asked, rows, queries):
    lengths = torch.rand(len(rows), dtype=torch.float64)[:, None] + 0.5
    expected = torch.nn.functional.cosine_similarity(queries[:, None], -(lengths * rows)[None], dim=-1)
    scores = GradientCosine().scores(asked)
    np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-9, atol=1e-10)
    assert np.abs(scores).max() <= 1


def test_a_row_against_itself_has_cosine_minus_one_for_its_loss(asked):
    own = named(asked.tokens[3], asked.lengths[3], "own")
    scores = GradientCosine().scores(problem(queries=(own,), query_tokens=None, query_lengths=None, query_groups=None))
    assert scores[0].argmax() == 3
    assert scores[0, 3] == pytest.approx(1.0)


def test_a_row_without_a_prediction_scores_nothing():
    tokens, lengths = ragged_rows(8)
    lengths[5] = 0
    empty = problem(tokens=tokens, lengths=lengths)
    for method in (GradientDot(), GradientCosine(), GradientNorm(), Loss()):
        assert (method.scores(empty)[:, 5] == 0).all()


def test_gradient_norm_is_the_squared_length(asked, rows):
    np.testing.assert_allclose(GradientNorm().scores(asked)[0], rows.square().sum(1).numpy(), rtol=1e-9)


def test_loss_is_the_mean_over_predicted_tokens(asked):
    expected = [
        -named(text, length, "row").measure(asked.model).item() / int(length)
        for text, length in zip(asked.tokens, asked.lengths, strict=True)
    ]
    np.testing.assert_allclose(Loss().scores(asked)[1], expected, rtol=1e-9)


def test_a_query_that_overflows_is_refused(asked):
    infinite = scaled(asked.queries[0], float("inf"))
    with pytest.raises(SelfCheckFailed, match="not finite"):
        GradientDot().scores(problem(queries=(infinite,), query_tokens=None, query_lengths=None, query_groups=None))


def test_the_sign_is_that_of_a_likelihood_and_not_of_a_loss(asked):
    """Mutation: a query stated as a loss turns every score round."""
    loss = Query(name="q0", measure=lambda model: -asked.queries[0].measure(model))
    wrong = problem(queries=(loss, asked.queries[1]))
    np.testing.assert_allclose(GradientDot().scores(wrong)[0], -GradientDot().scores(asked)[0], rtol=1e-9)
