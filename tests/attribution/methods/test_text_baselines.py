import numpy as np
import pytest
import torch
from attribution_models import tiny
from method_worlds import problem

from imprint.attribution import bm25_scores, embedding_scores, ngram_scores
from imprint.attribution.methods import (
    BM25,
    EmbeddingSimilarity,
    RandomRanking,
    RepeatedNgrams,
    RepresentationSimilarity,
    SameCluster,
)
from imprint.corpus import Packed


def asked_about(rows, texts, owner=None, **fields):
    """A problem whose rows and texts are these tokens after a BOS of 0."""
    tokens, lengths = padded(rows)
    text, text_lengths = padded(texts)
    owner = torch.arange(len(texts)) if owner is None else torch.tensor(owner)
    queries = problem().queries[: int(owner.max()) + 1]
    return problem(
        tokens=tokens,
        lengths=lengths,
        queries=queries,
        query_tokens=text,
        query_lengths=text_lengths,
        query_of_text=owner,
        query_groups=None,
        row_groups=None,
        **fields,
    )


def padded(rows):
    width = max(map(len, rows))
    tokens = torch.tensor([[0, *row, *[0] * (width - len(row))] for row in rows])
    return tokens, torch.tensor([len(row) for row in rows])


def test_repeated_bigrams_by_hand():
    asked = asked_about([[1, 2, 1, 2, 1], [1, 2, 3, 4, 5], [7, 7, 7, 7]], [[1]])
    assert RepeatedNgrams().scores(asked)[0].tolist() == [0.5, 0.0, pytest.approx(2 / 3)]


def test_bm25_by_hand():
    """Lucene's BM25 with k1 = 1.5, b = .75: idf log(1 + (N - df + .5) / (df + .5)) times tf / (tf + k1 length term)."""
    asked = asked_about([[1, 2, 3, 1, 2, 3], [4, 5, 6, 7], [8, 9, 8, 9]], [[1, 2, 3], [8, 9, 8]])
    term = 2 / (2 + 1.5 * (1 - 0.75 + 0.75 * 4 / ((4 + 2 + 2) / 3)))
    scores = BM25(n=3).scores(asked)
    assert scores[0, 0] == pytest.approx(np.log(1 + (3 - 1 + 0.5) / (1 + 0.5)) * term, rel=1e-5)
    assert scores[0, 1] == scores[1, 0] == 0
    assert scores[1].argmax() == 2


def test_bm25_is_the_mean_over_the_texts_of_a_query():
    rows, texts = [[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2], [5, 6], [9, 9]]
    alone = BM25().scores(asked_about(rows, texts[:2]))
    together = BM25().scores(asked_about(rows, texts, owner=[0, 0, 1]))
    np.testing.assert_allclose(together[0], alone.mean(0))
    assert together[1].tolist() == [0, 0]


def test_text_beyond_its_length_is_not_seen():
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]
    asked = asked_about(rows, [[1, 5, 6, 7]])
    short = problem(
        tokens=asked.tokens,
        lengths=asked.lengths,
        queries=asked.queries,
        query_tokens=asked.query_tokens,
        query_lengths=torch.tensor([1]),
        row_groups=None,
        query_groups=None,
    )
    assert BM25().scores(short)[0, 1] == 0
    assert BM25().scores(asked)[0, 1] > 0
    for method in (EmbeddingSimilarity(), RepresentationSimilarity()):
        assert not np.allclose(method.scores(short), method.scores(asked))


@pytest.mark.parametrize("method", [EmbeddingSimilarity(), RepresentationSimilarity()])
def test_similarity_finds_the_query_itself(method):
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 13, 8).tolist() for _ in range(10)]
    scores = method.scores(asked_about(rows, [rows[4], rows[7]]))
    assert scores.argmax(1).tolist() == [4, 7]
    assert scores[0, 4] == pytest.approx(1.0)
    assert np.abs(scores).max() <= 1 + 1e-12


def test_embeddings_are_a_bag_of_words_and_states_are_not():
    rows = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [6, 7, 8, 9, 9], [10, 11, 12, 6, 2]]
    asked = asked_about(rows, [rows[0]])
    bag = EmbeddingSimilarity().scores(asked)[0]
    assert bag[0] == pytest.approx(bag[1])
    states = RepresentationSimilarity().scores(asked)[0]
    assert abs(states[0] - states[1]) > 1e-3


def test_same_cluster_by_hand():
    asked = problem(row_groups=np.array(["x", "y", "y", "x", "z", "z", "z", "z"]), query_groups=np.array(["y", "z"]))
    assert SameCluster().scores(asked).tolist() == [[0, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]


def test_random_follows_the_seed_and_differs_between_queries():
    scores = RandomRanking().scores(problem())
    assert np.array_equal(scores, RandomRanking().scores(problem()))
    assert not np.allclose(scores, RandomRanking().scores(problem(seed=1)))
    assert not np.allclose(scores[0], scores[1])


def test_the_baselines_of_a_head_are_the_same_methods():
    asked = problem()
    count = len(asked.tokens)
    packed = Packed(
        tokens=asked.tokens.numpy(),
        lengths=asked.lengths.numpy(),
        document=np.arange(count),
        offsets=np.zeros((*asked.tokens.shape, 2), dtype=np.int64),
        document_ids=tuple(map(str, range(count))),
        domains=("all",) * count,
    )
    one = problem(queries=asked.queries[:1], query_tokens=asked.query_tokens[:1], query_lengths=None, query_groups=None)
    probe = asked.query_tokens[:1]
    np.testing.assert_allclose(BM25(n=3).scores(one)[0], bm25_scores(packed, probe))
    np.testing.assert_allclose(RepeatedNgrams().scores(one)[0], ngram_scores(packed))
    np.testing.assert_allclose(
        RepresentationSimilarity().scores(one)[0], embedding_scores(tiny(), packed, probe[:, :-1]), rtol=1e-9
    )
