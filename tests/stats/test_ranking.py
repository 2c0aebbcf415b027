import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from imprint.errors import InputError, SelfCheckFailed
from imprint.stats import auc, auc_effect, enrichment, permutation_of_labels, spearman, top_purity

LABELS = np.arange(60) < 20


def planted(shift, seed=0, labels=LABELS):
    return np.random.default_rng(seed).normal(size=labels.size) + shift * labels


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=30))
def test_agrees_with_sklearn_also_with_ties(rows):
    scores, positive = np.array([float(row[0]) for row in rows]), np.array([row[1] for row in rows])
    if positive.all() or not positive.any():
        with pytest.raises(InputError, match="both classes"):
            auc(scores, positive)
    else:
        assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_sign_scale_and_order():
    scores = planted(1.0)
    value, order = auc(scores, LABELS), np.random.default_rng(1).permutation(60)
    assert value > 0.6
    assert auc(-scores, LABELS) == pytest.approx(1 - value)
    assert auc(np.exp(3 * scores), LABELS) == pytest.approx(value)
    assert auc(scores[order], LABELS[order]) == pytest.approx(value)
    assert auc(np.zeros(60), LABELS) == 0.5


def test_shuffled_labels_give_chance():
    rng = np.random.default_rng(2)
    scores = planted(3.0)
    shuffled = [auc(scores, rng.permutation(LABELS)) for _ in range(300)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.03)  # AT-MDA-7


def test_null_of_twenty_units():
    labels = np.arange(20) < 5
    null = np.array([auc(planted(0.0, seed=i, labels=labels), labels) for i in range(3000)])
    assert null.std() == pytest.approx(0.153, abs=0.008)  # METHODS section 4
    assert np.mean(null >= 0.8) == pytest.approx(0.027, abs=0.01)


def test_interval_covers_the_truth():
    truth, hits = stats.norm.cdf(1 / np.sqrt(2)), 0
    for i in range(200):
        found = auc_effect(planted(1.0, seed=i), LABELS, seed=i, draws=300)
        hits += found.low <= truth <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_effect_is_judged_against_chance():
    found = auc_effect(planted(1.5), LABELS, seed=0)
    assert found.estimate == pytest.approx(auc(planted(1.5), LABELS))
    assert found.excludes(0.5)
    assert not auc_effect(planted(0.0, seed=3), LABELS, seed=0).excludes(0.5)
    assert found == auc_effect(planted(1.5), LABELS, seed=0)
    assert (found.n, found.unit, found.control) == (60, "document", "chance 0.5")


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_perfect_separation_still_has_width(sign):
    found = auc_effect(sign * LABELS.astype(float), LABELS, seed=0)
    assert found.estimate == max(0.0, sign)
    assert 0.02 < found.high - found.low < 0.2
    assert "perfectly separated" in found.note
    few = auc_effect(np.arange(6.0), np.arange(6) >= 3, seed=0)
    assert few.low < 0.75  # three against three proves little


def test_spearman_known_and_refused():
    assert spearman(np.arange(5.0), np.exp(np.arange(5.0))) == pytest.approx(1.0)
    assert spearman(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1.0)
    with pytest.raises(InputError, match="constant"):
        spearman(np.arange(5.0), np.ones(5))
    with pytest.raises(InputError, match="at least 3"):
        spearman(np.arange(2.0), np.arange(2.0))
    with pytest.raises(InputError, match="5 and 4"):
        spearman(np.arange(5.0), np.arange(4.0))


def test_auc_as_a_permutation_statistic():
    assert permutation_of_labels(planted(2.0), LABELS, auc, seed=0, draws=199) < 0.02


def test_purity_and_enrichment():
    labels = np.arange(100) < 20
    assert top_purity(labels.astype(float), labels, 0.1) == 1.0
    assert enrichment(labels.astype(float), labels, 0.1) == pytest.approx(5.0)
    assert top_purity(-labels.astype(float), labels, 0.1) == 0.0
    mixed = np.arange(100)[::-1].astype(float)
    assert top_purity(mixed, labels, 0.4) == 0.5


def test_ties_at_the_edge_do_not_depend_on_order():
    labels = np.arange(100) < 20
    assert top_purity(np.zeros(100), labels, 0.1) == pytest.approx(0.2)
    assert enrichment(np.zeros(100), labels, 0.1) == pytest.approx(1.0)
    scores = np.where(np.arange(100) < 5, 2.0, np.where(np.arange(100) < 55, 1.0, 0.0))
    order = np.random.default_rng(0).permutation(100)
    expected = (5 + 5 * 15 / 50) / 10
    assert top_purity(scores, labels, 0.1) == pytest.approx(expected)
    assert top_purity(scores[order], labels[order], 0.1) == pytest.approx(expected)


@pytest.mark.parametrize("function", [auc, top_purity, enrichment])
def test_refuses_nan_and_lengths(function):
    with pytest.raises(SelfCheckFailed, match="position 3"):
        function(np.where(np.arange(60) == 3, np.nan, 0.0), LABELS)
    with pytest.raises(InputError, match="20 labels do not fit 60"):
        function(np.zeros(60), LABELS[:20])
