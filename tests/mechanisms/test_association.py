import time

import numpy as np
import pytest
from scipy import stats

from imprint.errors import ConfigError, CorpusError
from imprint.mechanisms import (
    associate,
    associated_dims,
    association_effect,
    association_table,
    dims_above,
    document_means,
    raw_scores,
    shuffled_discoveries,
)


def scale_trap(n=2000, seed=0):
    """METHODS §5: dimension 0 is noise of sd 50, dimension 1 is one sd higher in the cluster, dimension 2 is noise."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.5).astype(np.int64)
    values = rng.standard_normal((n, 3))
    values[:, 0] *= 50
    values[:, 1] += labels
    return values, labels


def three_clusters(seed=0, n=90):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 3, n)
    values = np.round(rng.standard_normal((n, 5)) + 0.7 * (labels == 1)[:, None], 1)  # rounded: ties
    return values, labels


# The named formula


def test_the_formula_of_the_source():
    values, labels = three_clusters()
    scores = raw_scores(values, labels)
    for k in range(3):
        wanted = values[labels == k].mean(0) - values[labels != k].mean(0)
        np.testing.assert_allclose(scores[:, k], wanted)
    np.testing.assert_allclose(associate(values, labels).raw, scores)


def test_dims_above_the_threshold_are_one_sided():
    scores = np.array([[0.5], [-3.0], [2.0], [1.0]])
    assert dims_above(scores, 0, 0.9).tolist() == [2, 3]
    assert dims_above(scores, 0, 5.0).tolist() == []


def test_the_scale_trap():
    """The raw score of a loud noise unit is of the size of the real unit's; its Cohen's d is not."""
    loud = []
    for seed in range(20):
        found = associate(*scale_trap(seed=seed))
        assert found.raw[1, 1] == pytest.approx(1.0, abs=0.15)
        assert found.cohen_d[1, 1] == pytest.approx(1.0, abs=0.15)
        assert abs(found.cohen_d[0, 1]) < 0.15
        assert associated_dims(found, 1)[0] == 1
        loud.append(abs(found.raw[0, 1]))
    assert max(loud) > 2  # the noise unit would come first under S > tau
    assert associated_dims(associate(*scale_trap()), 1).tolist() == [1]


# Against independent implementations


@pytest.mark.parametrize("test", ["welch", "mann-whitney"])
def test_every_number_equals_scipys(test):
    values, labels = three_clusters()
    found = associate(values, labels, test=test)
    for dim in range(5):
        for k in range(3):
            inside, outside = values[labels == k, dim], values[labels != k, dim]
            welch = stats.ttest_ind(inside, outside, equal_var=False)
            ranks = stats.mannwhitneyu(inside, outside, method="asymptotic")
            assert found.p[dim, k] == pytest.approx(welch.pvalue if test == "welch" else ranks.pvalue)
            assert found.auc[dim, k] == pytest.approx(ranks.statistic / (len(inside) * len(outside)))
            pooled = np.sqrt(
                ((len(inside) - 1) * inside.var(ddof=1) + (len(outside) - 1) * outside.var(ddof=1)) / (len(labels) - 2)
            )
            assert found.cohen_d[dim, k] == pytest.approx((inside.mean() - outside.mean()) / pooled)
    np.testing.assert_allclose(found.q, stats.false_discovery_control(found.p.ravel()).reshape(5, 3))
    assert found.sizes.tolist() == [(labels == k).sum() for k in range(3)]


def test_a_large_offset_does_not_cost_precision():
    values, labels = three_clusters()
    plain, lifted = associate(values, labels), associate(values + 1e6, labels)
    np.testing.assert_allclose(plain.cohen_d, lifted.cohen_d, atol=1e-7)


def test_two_clusters_mirror_each_other():
    values, labels = scale_trap()
    found = associate(values, labels)
    np.testing.assert_allclose(found.cohen_d[:, 0], -found.cohen_d[:, 1])
    np.testing.assert_allclose(found.auc[:, 0], 1 - found.auc[:, 1])


def test_dims_and_documents_may_be_permuted():
    values, labels = three_clusters()
    order, dims = np.random.default_rng(1).permutation(len(labels)), [3, 1, 0, 4, 2]
    found, moved = associate(values, labels), associate(values[order][:, dims], labels[order])
    np.testing.assert_allclose(found.p[dims], moved.p)


# R_k


def test_both_tails_and_the_top():
    values, labels = scale_trap()
    values[:, 2] -= 2.0 * labels
    found = associate(values, labels)
    assert associated_dims(found, 1).tolist() == [2, 1]
    assert associated_dims(found, 1, tail="high").tolist() == [1]
    assert associated_dims(found, 1, tail="low").tolist() == [2]
    assert associated_dims(found, 1, top=1).tolist() == [2]
    assert associated_dims(found, 1, least=1.5).tolist() == [2]
    assert 0 not in associated_dims(found, 1, least=0.0)  # not significant


def test_a_dead_dimension_is_associated_with_nothing():
    values, labels = scale_trap()
    values[:, 2] = 0.1
    found = associate(values, labels)
    assert (found.cohen_d[2, 1], found.p[2, 1], found.auc[2, 1]) == (0.0, 1.0, 0.5)
    assert np.isfinite(found.q).all()


# The null


def test_seven_hundred_null_dimensions():
    """METHODS §5: about 5 % of 768 null dimensions have p < .05 (27 and 39 in two draws), none after correction."""
    counts, survivors = [], 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = associate(rng.standard_normal((200, 768)), np.repeat([0, 1], 100))
        counts.append(int((found.p[:, 0] < 0.05).sum()))
        survivors += len(associated_dims(found, 0))
    assert np.mean(counts) == pytest.approx(0.05 * 768, abs=6)
    assert survivors <= 2  # in 5 % of draws one dimension passes: that is the rate


def test_shuffled_labels_find_nothing_and_true_ones_do():
    values, labels = scale_trap(n=200)
    null = shuffled_discoveries(values, labels, draws=40, seed=0)
    assert (null > 0).mean() <= 0.15
    assert np.array_equal(null, shuffled_discoveries(values, labels, draws=40, seed=0))
    assert (associate(values, labels).q < 0.05).sum() > 0


def test_tokens_as_units_find_what_is_not_there():
    """Documents differ, clusters do not: by token 30 % of dimensions look associated, by document none."""
    rng = np.random.default_rng(0)
    documents = np.repeat(np.arange(40), 50)
    states = rng.standard_normal((40, 64))[documents] + rng.standard_normal((2000, 64))
    by_token = associate(states, documents % 2)
    means = document_means(states, documents)
    by_document = associate(means.means, means.documents % 2)
    assert (by_token.q < 0.05).mean() > 0.3
    assert (by_document.q < 0.05).sum() == 0


def test_the_interval_of_d_covers():
    hits = 0
    for seed in range(200):
        values, labels = scale_trap(n=80, seed=seed)
        effect = association_effect(associate(values, labels), 1, 1)
        hits += effect.low <= 1.0 <= effect.high
    assert 0.9 <= hits / 200 <= 0.99
    assert (effect.n, effect.unit) == (80, "document")


# Edges


def test_the_table_has_a_row_per_pair():
    values, labels = three_clusters()
    found = associate(values, labels, names=["a", "b", "c"])
    table = association_table(found)
    assert table.height == 15
    picked = table.filter((table["dim"] == 2) & (table["cluster"] == "b"))
    assert picked["cohen_d"].item() == found.cohen_d[2, 1]


def test_a_cluster_of_three_documents_is_refused():
    values = np.random.default_rng(0).standard_normal((40, 2))
    labels = np.array([0] * 37 + [1] * 3)
    with pytest.raises(CorpusError, match="Cluster 'code' has 3 documents, but at least 10"):
        associate(values, labels, names=["text", "code"])
    associate(values, labels, minimum=3)
    with pytest.raises(CorpusError, match="rest beside cluster 'all' has 0"):
        associate(values, np.zeros(40, dtype=np.int64), names=["all"])
    with pytest.raises(CorpusError, match="all labels are -1"):
        associate(values, np.full(40, -1))
    with pytest.raises(ConfigError, match="1 names do not fit 2"):
        associate(values, labels, names=["text"])


@pytest.mark.slow
def test_the_size_of_a_real_layer_takes_seconds():
    rng = np.random.default_rng(0)
    values, labels = rng.standard_normal((10_000, 768)), rng.integers(0, 10, 10_000)
    start = time.process_time()
    associate(values, labels)
    assert time.process_time() - start < 10
