import numpy as np
import pytest
import torch
from attribution_models import tiny

from imprint.attribution import bm25_scores, embedding_scores, ngram_scores, random_scores
from imprint.corpus import Packed


def packed(rows, lengths=None):
    """Rows of token ids after a BOS of 0, padded with 0."""
    width = max(map(len, rows))
    lengths = [len(row) for row in rows] if lengths is None else lengths
    tokens = np.array([[0, *row, *[0] * (width - len(row))] for row in rows], dtype=np.int64)
    count = len(rows)
    return Packed(
        tokens=tokens,
        lengths=np.array(lengths, dtype=np.int64),
        document=np.arange(count),
        offsets=np.zeros((*tokens.shape, 2), dtype=np.int64),
        document_ids=tuple(str(row) for row in range(count)),
        domains=("all",) * count,
    )


def test_random_scores_follow_the_seed():
    assert np.array_equal(random_scores(100, seed=1), random_scores(100, seed=1))
    assert not np.array_equal(random_scores(100, seed=1), random_scores(100, seed=2))
    assert random_scores(4000, seed=0).mean() == pytest.approx(0.5, abs=0.03)


def test_repeated_bigrams_by_hand():
    rows = packed([[1, 2, 1, 2, 1], [1, 2, 3, 4, 5], [7, 7, 7, 7]])
    assert ngram_scores(rows).tolist() == [0.5, 0.0, pytest.approx(2 / 3)]
    assert ngram_scores(rows, 3).tolist() == [pytest.approx(1 / 3), 0.0, 0.5]


def test_bigrams_of_padding_and_bos_do_not_count():
    assert ngram_scores(packed([[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11]]))[0] == 0.0
    assert ngram_scores(packed([[0, 1, 0, 1]])).tolist() == [pytest.approx(1 / 3)]


def probe(*rows):
    return torch.tensor([[0, *row] for row in rows])


def test_bm25_prefers_rows_that_share_trigrams():
    rows = packed([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [1, 2, 3, 9, 9, 9], [9, 8, 7, 9, 8, 7]])
    scores = bm25_scores(rows, probe([1, 2, 3, 4, 5, 6]))
    assert scores.argsort()[::-1][:2].tolist() == [0, 2]
    assert scores[1] == scores[3] == 0.0  # the same tokens in another order share no trigram


def test_bm25_by_hand():
    """Lucene's BM25 with k1 = 1.5, b = .75: idf log(1 + (N - df + .5) / (df + .5)) times tf / (tf + k1 length term)."""
    rows = packed([[1, 2, 3, 1, 2, 3], [4, 5, 6, 7], [8, 9, 8, 9]])
    words, mean = 4, (4 + 2 + 2) / 3
    term = 2 / (2 + 1.5 * (1 - 0.75 + 0.75 * words / mean))
    expected = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5)) * term
    assert bm25_scores(rows, probe([1, 2, 3]))[0] == pytest.approx(expected, rel=1e-5)


def test_bm25_is_the_mean_over_the_probe_and_ignores_unknown_trigrams():
    rows = packed([[1, 2, 3, 4], [5, 6, 7, 8]])
    one, other = bm25_scores(rows, probe([1, 2, 3])), bm25_scores(rows, probe([5, 6, 7]))
    np.testing.assert_allclose(bm25_scores(rows, probe([1, 2, 3], [5, 6, 7])), (one + other) / 2)
    assert bm25_scores(rows, probe([11, 11, 11])).tolist() == [0.0, 0.0]


def test_bm25_does_not_see_padding_and_takes_rows_shorter_than_an_ngram():
    rows = packed([[1, 2, 3], [4, 5, 6, 7, 8], [9, 9]])
    assert bm25_scores(rows, probe([3, 0, 0])).tolist() == [0.0, 0.0, 0.0]
    assert bm25_scores(rows, probe([4, 5, 6]))[1] > 0


def test_bm25_does_not_see_the_bos_of_the_probe():
    rows = packed([[9, 0, 1, 2, 9], [5, 6, 7, 8]])
    assert bm25_scores(rows, probe([1, 2, 3])).tolist() == [0.0, 0.0]


def test_embedding_prefers_the_probe_itself():
    model = tiny()
    generator = np.random.default_rng(0)
    rows = [list(generator.integers(1, 13, 8)) for _ in range(12)]
    target = torch.tensor([[0, *rows[4]]])
    scores = embedding_scores(model, packed(rows), target[:, :-1])
    assert scores.argmax() == 4
    assert scores[4] == pytest.approx(1.0)
    assert np.abs(scores).max() <= 1 + 1e-9


def test_embedding_is_free_of_batches_padding_and_mode():
    model = tiny()
    generator = np.random.default_rng(0)
    rows = packed([list(generator.integers(1, 13, length)) for length in (8, 3, 5, 8, 4)])
    target = torch.tensor([[0, 1, 2, 3]])
    base = embedding_scores(model, rows, target)
    padded = packed([*rows.tokens[:, 1:].tolist()], lengths=rows.lengths.tolist())
    padded.tokens[:, 1:][~padded.label_mask] = 5
    np.testing.assert_allclose(embedding_scores(model, rows, target, batch=2), base, rtol=1e-8)
    np.testing.assert_allclose(embedding_scores(model, padded, target), base, rtol=1e-8)
    np.testing.assert_allclose(embedding_scores(model.train(), rows, target), base, rtol=1e-8)
    assert model.training
