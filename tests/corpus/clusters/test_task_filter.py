import numpy as np
import pytest
from scipy import stats

from imprint.corpus.clusters import Clustering, filter_by_heads
from imprint.errors import ConfigError, CorpusError, SelfCheckFailed


def clustered(labels, *, unit="document"):
    names = tuple(f"c{number}" for number in range(labels.max() + 1))
    ids = tuple(f"d{number}" for number in range(len(labels))) if unit == "document" else ()
    return Clustering(unit=unit, method="m", labels=labels, names=names, ids=ids)


@pytest.fixture
def planted():
    """Ten clusters of 40; heads are more active in clusters 2 and 7."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 40)
    active = np.isin(labels, (2, 7))
    return generator.normal(size=(400, 3)) + 1.0 * active[:, None], clustered(labels)


def test_the_planted_clusters_are_kept(planted):
    found = filter_by_heads(*planted)
    assert found.kept == (2, 7)
    assert found.table["kept"].to_list() == [number in (2, 7) for number in range(10)]
    assert found.effects[2].low > 0
    assert found.effects[0].estimate < 0


def test_scale_and_shift_of_a_head_do_not_matter(planted):
    activations, clustering = planted
    again = filter_by_heads(activations * [1.0, 1e4, 1e-4] + [0.0, 5.0, -3.0], clustering)
    np.testing.assert_allclose(again.table["difference"], filter_by_heads(activations, clustering).table["difference"])


def test_null_keeps_about_five_percent_of_runs():
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(8), 20)
    kept = [bool(filter_by_heads(generator.normal(size=(160, 2)), clustered(labels)).kept) for _ in range(100)]
    assert np.mean(kept) < 0.12


def test_less_active_is_not_kept(planted):
    activations, clustering = planted
    assert not set(filter_by_heads(-activations, clustering).kept) & {2, 7}


def test_welch_by_scipy(planted):
    activations, clustering = planted
    score = stats.zscore(activations).mean(axis=1)
    inside, outside = score[clustering.labels == 3], score[clustering.labels != 3]
    expected = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue
    assert filter_by_heads(activations, clustering).table["p"][3] == pytest.approx(expected)


def test_noise_is_outside_and_never_a_cluster(planted):
    activations, clustering = planted
    labels = np.where(clustering.labels == 9, -1, clustering.labels)
    found = filter_by_heads(activations, clustered(labels))
    assert len(found.table) == 9
    assert found.effects[0].control == "the 360 units outside the cluster"


def test_tokens_are_averaged_within_documents_first():
    """One odd document with 200 tokens is one unit; taken as 200 it would convict its cluster."""
    generator = np.random.default_rng(0)
    documents = np.concatenate([np.zeros(200, dtype=np.int64), np.repeat(np.arange(1, 21), 10)])
    labels = np.concatenate([np.zeros(200, dtype=np.int64), np.tile(np.repeat([0, 1], 5), 20)])
    activations = generator.normal(size=(400, 1)) + 3.0 * (documents == 0)[:, None]
    tokens = clustered(labels, unit="token")
    found = filter_by_heads(activations, tokens, documents=documents)
    assert found.kept == ()
    assert (found.effects[0].n, found.effects[0].unit) == (21, "document")
    with pytest.raises(ConfigError, match="tokens of one document are not independent"):
        filter_by_heads(activations, tokens)


def test_heads_that_never_vary():
    found = filter_by_heads(np.ones((20, 2)), clustered(np.repeat([0, 1], 10)))
    assert found.kept == ()
    assert found.effects[0].estimate == 0


def test_bad_input(planted):
    activations, clustering = planted
    with pytest.raises(ConfigError, match="do not fit 400 labels"):
        filter_by_heads(activations[:5], clustering)
    with pytest.raises(CorpusError, match="cluster 'c0' has 40 documents; at least 41 are needed"):
        filter_by_heads(activations, clustering, minimum=41)
    with pytest.raises(SelfCheckFailed, match="not finite"):
        filter_by_heads(np.where(activations == activations[3, 0], np.nan, activations), clustering)
    with pytest.raises(CorpusError, match="all else in 0"):
        filter_by_heads(np.arange(20.0)[:, None], clustered(np.zeros(20, dtype=np.int64)))
