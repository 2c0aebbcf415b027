import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from imprint.errors import InputError
from imprint.stats import discordant_pairs, exact_mcnemar


def test_known_answer_and_symmetry():
    assert exact_mcnemar(12, 3) == pytest.approx(0.0352, abs=5e-5)
    assert exact_mcnemar(3, 12) == exact_mcnemar(12, 3)


@pytest.mark.parametrize(("b", "c"), [(0, 5), (7, 7), (1, 20)])
def test_agrees_with_statsmodels(b, c):
    assert exact_mcnemar(b, c) == pytest.approx(mcnemar([[4, b], [c, 9]], exact=True).pvalue)


def test_nothing_changed():
    assert exact_mcnemar(0, 0) == 1.0


def test_counts_only_what_changed():
    before = np.array([True, True, True, False, False])
    after = np.array([True, False, False, True, False])
    assert discordant_pairs(before, after) == (2, 1)
    assert discordant_pairs(after, before) == (1, 2)


def test_refuses_negative_and_unpaired():
    with pytest.raises(InputError, match="negative"):
        exact_mcnemar(-1, 3)
    with pytest.raises(InputError, match="5 and 3 items"):
        discordant_pairs(np.ones(5, dtype=bool), np.ones(3, dtype=bool))
