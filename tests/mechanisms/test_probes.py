import numpy as np
import pytest

from imprint.errors import CorpusError
from imprint.mechanisms import control_labels, important_dims, probe, probe_direction, selectivity
from imprint.mechanisms.probes import UNCONVERGED


def clusters(seed=0, documents=40, each=6, d=8, k=3, apart=4.0):
    """Documents of k clusters; cluster c is high in dimension c, whose unit is 10 ** c."""
    rng = np.random.default_rng(seed)
    labels = np.arange(documents) % k
    states = rng.standard_normal((documents * each, d))
    numbers = np.repeat(np.arange(documents), each)
    states[np.arange(len(states)), labels[numbers]] += apart
    return states * 10.0 ** np.arange(d), labels[numbers], numbers


def test_separable_clusters_are_read_and_the_dimensions_named():
    states, labels, documents = clusters()
    found = probe(states, labels, documents)
    assert found.accuracy.estimate > 0.9
    assert (found.accuracy.n, found.accuracy.unit) == (40, "document")
    assert found.majority == pytest.approx(14 / 40)
    assert [important_dims(found, cluster, 1).item() for cluster in range(3)] == [0, 1, 2]
    np.testing.assert_allclose(found.weights.sum(0), 0.0, atol=1e-10)


def test_units_do_not_matter():
    states, labels, documents = clusters()
    one, other = probe(states, labels, documents), probe(states * np.arange(1.0, 9.0) - 3.0, labels, documents)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-3)
    assert one.accuracy.estimate == pytest.approx(other.accuracy.estimate)


def test_the_direction_points_to_the_cluster():
    rng = np.random.default_rng(0)
    planted = np.array([3.0, 4.0, 0, 0]) / 5
    labels = np.arange(600) % 2
    states = rng.standard_normal((600, 4)) + 2.0 * np.outer(labels, planted)
    found = probe(states, labels, np.arange(600))
    assert probe_direction(found, 1) @ planted > 0.97
    np.testing.assert_allclose(probe_direction(found, 0), -probe_direction(found, 1))


def test_scoring_by_document_sees_through_memorised_documents():
    """Labels that only a memory of the document explains: by token .9, by document chance."""
    rng = np.random.default_rng(0)
    documents = np.repeat(np.arange(60), 10)
    labels = rng.permutation(np.arange(60) % 2)[documents]
    states = 3 * rng.standard_normal((60, 64))[documents] + rng.standard_normal((600, 64))
    by_document = probe(states, labels, documents)
    by_token = probe(states, labels, np.arange(600))
    assert by_token.accuracy.estimate > 0.9
    assert not by_document.accuracy.excludes(0.5)


def test_shuffled_labels_give_the_majority():
    states, labels, documents = clusters()
    shuffled = np.random.default_rng(1).permutation(40)[documents] % 3
    assert probe(states, shuffled, documents).accuracy.low < 0.45
    assert len(labels) == len(shuffled)


def test_noise_is_not_a_cluster():
    states, labels, documents = clusters()
    noisy = np.where(documents < 6, -1, labels)
    found = probe(states, noisy, documents)
    assert found.classes.tolist() == [0, 1, 2]
    assert found.accuracy.n == 34
    with pytest.raises(CorpusError, match="has not seen cluster 5"):
        important_dims(found, 5, 1)


# Selectivity


def types_world(d, seed=0):
    """METHODS §5: 1000 tokens of 200 types, whose embeddings carry a random label per type and nothing else."""
    rng = np.random.default_rng(seed)
    types = rng.integers(0, 200, 1000)
    embeddings = rng.standard_normal((200, d))
    return embeddings[types] + 0.1 * rng.standard_normal((1000, d)), types, rng


@pytest.mark.parametrize(("d", "accuracy"), [(16, 0.64), (512, 0.97)])
def test_a_wide_probe_solves_the_control_task(d, accuracy):
    """Hewitt and Liang's point: .64 accuracy at d = 16 and .97 at d = 512 on labels that mean nothing."""
    found = []
    for seed in range(3 if d == 16 else 1):
        states, types, rng = types_world(d, seed)
        labels = control_labels(types, rng.integers(0, 2, 1000), seed=seed)
        found.append(probe(states, labels, np.arange(1000) % 50, folds=3).accuracy.estimate)
    assert np.mean(found) == pytest.approx(accuracy, abs=0.05)


def test_selectivity_tells_structure_from_memory():
    states, types, _rng = types_world(16)
    real = (types % 2).astype(np.int64)
    readable = states + 3.0 * np.outer(real, np.eye(16)[0])
    documents = np.arange(1000) % 50
    structure = selectivity(readable, real, documents, types)
    assert structure.selectivity.low > 0.1
    assert structure.selectivity.estimate == pytest.approx(
        structure.task.accuracy.estimate - structure.control.accuracy.estimate
    )
    memory = selectivity(states, control_labels(types, real, seed=7), documents, types)
    assert abs(memory.selectivity.estimate) < 0.15
    assert memory.task.accuracy.estimate > 0.55


def test_control_labels_are_one_per_type_and_as_frequent():
    rng = np.random.default_rng(0)
    types, labels = rng.integers(0, 2000, 20_000), (rng.random(20_000) < 0.2).astype(np.int64)
    drawn = control_labels(types, labels, seed=0)
    pairs = np.unique(np.stack([types, drawn], 1), axis=0)
    assert len(pairs) == len(np.unique(types))
    assert drawn.mean() == pytest.approx(0.2, abs=0.03)
    assert np.array_equal(drawn, control_labels(types, labels, seed=0))
    assert not np.array_equal(drawn, control_labels(types, labels, seed=1))


# Edges


def test_an_unfinished_fit_says_so():
    states, labels, documents = clusters()
    assert probe(states, labels, documents, max_iterations=1).accuracy.note == UNCONVERGED
    assert probe(states, labels, documents).accuracy.note == ""


def test_one_cluster_or_too_few_documents_are_refused():
    states, labels, documents = clusters()
    with pytest.raises(CorpusError, match="two clusters"):
        probe(states, np.zeros_like(labels), documents)
    with pytest.raises(CorpusError, match="Cluster 1 touches 1 documents, fewer than the 5 folds"):
        probe(states, (documents == 3).astype(np.int64), documents)
