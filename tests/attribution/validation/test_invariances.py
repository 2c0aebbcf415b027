import numpy as np
import pytest
import torch
from attribution_models import likelihood_query, ragged_rows, tiny

from imprint.attribution import head_subspace, query_gradient, score_rows
from imprint.attribution.validation import batch_gap, duplicate_gap, relative_gap


def scorer(batch=64):
    model, (tokens, lengths) = tiny(), ragged_rows(9)
    subspace = head_subspace(model, "L1.H1")
    direction = query_gradient(model, subspace, likelihood_query(tokens[:2, :5]))

    def score(order):
        rows = torch.from_numpy(np.asarray(order))
        found = score_rows(model, subspace, [direction], tokens[rows], lengths[rows], batch=batch)
        return torch.cat(found.scores, dim=1).sum(2).numpy()

    return score


def test_copies_of_a_row_get_one_score():
    """AT-IF-8, on the engine's scores."""
    assert duplicate_gap(scorer(4), 9, repeated=[2, 7]) < 1e-10


def test_the_batch_size_changes_nothing():
    assert batch_gap(lambda batch: scorer(batch)(np.arange(9)), [64, 1, 4]) < 1e-10


def test_scores_that_depend_on_the_place_are_found_out():
    assert duplicate_gap(lambda order: np.arange(len(order))[None] + 0.0, 9, repeated=[2]) == pytest.approx(
        0.7, abs=0.1
    )
    assert batch_gap(lambda batch: np.ones((1, 4)) * (1 + (batch == 4)), [64, 4]) == 1.0


def test_without_a_scale():
    assert relative_gap(np.zeros(3), np.zeros(3), scale=0.0) == 0.0
    assert relative_gap(np.zeros(3), np.ones(3), scale=0.0) == float("inf")
