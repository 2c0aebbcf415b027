import numpy as np
import pytest

from imprint.attribution.validation import planted_recall
from imprint.errors import InputError

PLANTED = np.zeros((8, 40), dtype=bool)
for _query in range(8):
    PLANTED[_query, [_query, _query + 20]] = True


def test_what_was_planted_is_found_and_its_negative_is_not():
    found = planted_recall(PLANTED + 0.0, PLANTED)
    assert (found.recall.estimate, found.reciprocal_rank.estimate, found.auc.estimate) == (1.0, 1 / 1.5, 1.0)
    assert found.k == 2
    wrong = planted_recall(-1.0 * PLANTED, PLANTED)
    assert (wrong.recall.estimate, wrong.auc.estimate) == (0.0, 0.0)


def test_random_scores_are_at_chance():
    found = [planted_recall(np.random.default_rng(n).standard_normal(PLANTED.shape), PLANTED, k=4) for n in range(100)]
    assert np.mean([one.auc.estimate for one in found]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([one.recall.estimate for one in found]) == pytest.approx(0.1, abs=0.03)
    assert found[0].recall.control == "chance 0.100"


def test_rows_planted_for_another_query_do_not_count():
    assert planted_recall(np.roll(PLANTED, 1, axis=0) + 0.0, PLANTED).recall.estimate == 0.0


def test_shapes_must_fit():
    with pytest.raises(InputError, match="do not fit"):
        planted_recall(np.zeros((8, 39)), PLANTED)
