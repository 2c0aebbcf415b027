import numpy as np
import pytest
from linear_world import QUERIES, ROWS, LinearWorld, draw, influence

from imprint.attribution.validation import qld, query_loss_difference, small_drops, top_rows
from imprint.errors import InputError, SelfCheckFailed


def test_top_rows_by_hand():
    scores = np.array([[0.1, 3.0, 2.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    assert top_rows(scores, 2) == ((1, 2), (0, 1))
    with pytest.raises(InputError, match="ask for 1 to 4"):
        top_rows(scores, 5)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        top_rows(scores * np.nan, 1)


RETRAIN = LinearWorld().retrainer(None, 0)
RANDOM = np.stack([RETRAIN(rows) for rows in small_drops(ROWS, 60, dropped=2, seed=0).dropped])


def removed(scores):
    """Values of every query without its own top rows, and of random removals."""
    return np.array([RETRAIN(rows)[query] for query, rows in enumerate(top_rows(scores, 2))]), RANDOM


def test_the_top_by_influence_costs_every_query_and_the_bottom_helps_it():
    scores = influence(draw())
    assert (query_loss_difference(*removed(scores)) > 0).all()
    assert (query_loss_difference(*removed(-scores)) < 0).all()
    assert qld(*removed(scores)).estimate > 0


def test_random_scores_cost_nothing():
    """AT-LDS: QLD of random is about 0, far below that of influence."""
    generator = np.random.default_rng(0)
    found = [query_loss_difference(*removed(generator.standard_normal((QUERIES, ROWS)))).mean() for _ in range(60)]
    best = query_loss_difference(*removed(influence(draw()))).mean()
    assert abs(np.mean(found)) < 3 * np.std(found) / 60**0.5 + 1e-12
    assert abs(np.mean(found)) < 0.1 * best


def test_the_interval_is_over_queries():
    generator = np.random.default_rng(0)
    effect = qld(-1 + 0.1 * generator.standard_normal(20), np.zeros((30, 20)))
    assert effect.n == 20
    assert effect.low < 1.0 < effect.high
    assert effect.control == "as many random rows (30 draws)"
    with pytest.raises(InputError, match="do not fit"):
        qld(np.zeros(3), np.zeros((5, 4)))
