from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from attribution_models import ragged_rows
from method_worlds import ROWS, own_rows, problem, scaled, trained_problem
from scipy.stats import rankdata

from imprint.attribution.engine import EkfacOptions
from imprint.attribution.methods import METHODS, Datamodels, Ekfac

SMALL = METHODS | {"datamodels": Datamodels(runs=12)}
QUERY_FREE = {"random", "loss", "gradient norm", "repeated n-grams"}
TEXT_ONLY = {"BM25", "embedding similarity", "representation similarity", "same cluster"}
GRADIENT = sorted(set(METHODS) - QUERY_FREE - TEXT_ONLY)
BATCHED = sorted(name for name, method in METHODS.items() if "batch" in {field.name for field in fields(method)})


@pytest.fixture(scope="module")
def asked():
    return trained_problem()


@pytest.fixture(scope="module")
def base(asked):
    return {name: method.scores(asked) for name, method in SMALL.items()}


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_one_number_a_query_and_row(name, base):
    assert base[name].shape == (2, ROWS)
    assert base[name].dtype == np.float64
    assert np.isfinite(base[name]).all()


@pytest.mark.parametrize("name", METHODS)
def test_the_same_problem_gets_the_same_bytes(name, asked, base):
    assert np.array_equal(SMALL[name].scores(asked), base[name])


@pytest.mark.parametrize("name", BATCHED)
def test_the_batch_size_does_not_matter(name, asked, base):
    np.testing.assert_allclose(replace(SMALL[name], batch=3).scores(asked), base[name], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random", "datamodels"}))
def test_two_copies_of_a_row_score_the_same(name):
    """AT-IF-8, with both copies in every update, so that the run cannot tell them apart either."""
    tokens, lengths = ragged_rows(ROWS)
    tokens[5], lengths[5] = tokens[1], lengths[1]
    twins = trained_problem(
        tokens=tokens,
        lengths=lengths,
        batches=torch.arange(ROWS).repeat(3, 1),
        row_groups=np.array(list("abcdebfg")),
        query_groups=np.array(["b", "c"]),
    )
    scores = SMALL[name].scores(twins)
    np.testing.assert_allclose(scores[:, 1], scores[:, 5], rtol=1e-7, atol=1e-10)
    assert name in QUERY_FREE or not np.allclose(scores[:, 1], scores[:, 2])


def test_datamodels_give_two_copies_about_the_same():
    tokens, lengths = ragged_rows(ROWS)
    tokens[5], lengths[5] = tokens[1], lengths[1]
    twins = trained_problem(tokens=tokens, lengths=lengths, batches=torch.arange(ROWS).repeat(3, 1))
    scores = Datamodels(runs=40).scores(twins)
    assert (np.abs(scores[:, 1] - scores[:, 5]) < 0.3 * scores.std(axis=1)).all()


@pytest.mark.parametrize("name", GRADIENT)
def test_the_negated_query_has_negated_scores(name, asked, base):
    negated = replace(asked, queries=tuple(scaled(query, -1.0) for query in asked.queries))
    scores = SMALL[name].scores(negated)
    np.testing.assert_allclose(scores, -base[name], rtol=1e-6, atol=1e-6 * np.abs(base[name]).max())


@pytest.mark.parametrize("name", GRADIENT)
def test_a_query_times_a_positive_number_ranks_rows_the_same(name, asked, base):
    louder = replace(asked, queries=tuple(scaled(query, 7.0) for query in asked.queries))
    assert np.array_equal(rankdata(SMALL[name].scores(louder), axis=1), rankdata(base[name], axis=1))


@pytest.mark.parametrize("name", sorted(QUERY_FREE | TEXT_ONLY))
def test_what_does_not_measure_the_query_does_not_change_with_it(name, asked, base):
    negated = replace(asked, queries=tuple(scaled(query, -1.0) for query in asked.queries))
    assert np.array_equal(SMALL[name].scores(negated), base[name])


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not method.needs_training][1:])
def test_reordered_rows_have_reordered_scores(name):
    """Of a problem without a recorded run, of which the order of the rows is a part; and not of a random ranking."""
    # Labels sampled from the model are drawn row by row, so EK-FAC is asked with the data's own.
    method = Ekfac(options=EkfacOptions(labels="data")) if name == "EK-FAC" else METHODS[name]
    whole, order = problem(), torch.tensor([3, 1, 0, 2, 7, 6, 5, 4])
    turned = problem(
        tokens=whole.tokens[order], lengths=whole.lengths[order], row_groups=whole.row_groups[order.numpy()]
    )
    np.testing.assert_allclose(method.scores(turned), method.scores(whole)[:, order], rtol=1e-8, atol=1e-10)


CHOSEN = [0, 1, 6]


@pytest.fixture(scope="module")
def planted():
    return own_rows(CHOSEN)


def own_rank(scores, rows):
    """The mean rank of each query's own row, 0 = first of all, 1 = last."""
    ranks = rankdata(-scores, axis=1)
    return np.mean([ranks[query, row] - 1 for query, row in enumerate(rows)]) / (scores.shape[1] - 1)


@pytest.mark.parametrize("name", sorted(set(METHODS) - QUERY_FREE))
def test_a_query_that_is_a_training_row_finds_it_and_shuffled_labels_or_turned_round_scores_do_not(name, planted):
    method = Datamodels(runs=30) if name == "datamodels" else METHODS[name]
    scores = method.scores(planted)
    assert own_rank(scores, CHOSEN) < 0.15
    generator = np.random.default_rng(0)
    shuffled = [own_rank(scores, generator.permutation(ROWS)[: len(CHOSEN)]) for _ in range(400)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.06)
    assert own_rank(-scores, CHOSEN) > 0.8
