import numpy as np
import pytest

from imprint.errors import InputError
from imprint.stats.retrieval import recall_at, reciprocal_rank

SCORES = np.array([0.1, 0.9, 0.5, 0.7])


def test_by_hand():
    planted = np.array([False, False, True, True])
    assert recall_at(SCORES, planted, 1) == 0.0
    assert recall_at(SCORES, planted, 2) == 0.5
    assert recall_at(SCORES, planted, 3) == 1.0
    assert reciprocal_rank(SCORES, planted) == 0.5
    assert reciprocal_rank(-SCORES, planted) == 0.5
    assert reciprocal_rank(SCORES, np.array([True, False, False, False])) == 0.25


def test_ties_count_by_their_expected_share():
    planted = np.array([True, False, False, False])
    assert recall_at(np.zeros(4), planted, 1) == 0.25
    assert recall_at(np.zeros(4), planted, 3) == 0.75
    assert reciprocal_rank(np.zeros(4), planted) == 1 / 2.5


def test_what_cannot_be_found_is_refused():
    with pytest.raises(InputError, match="no row is planted"):
        recall_at(SCORES, np.zeros(4, dtype=bool), 1)
    with pytest.raises(InputError, match="ask for 1 to 4"):
        recall_at(SCORES, SCORES > 0.5, 5)
    with pytest.raises(InputError, match="do not fit"):
        reciprocal_rank(SCORES, np.ones(3, dtype=bool))
