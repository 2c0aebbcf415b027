"""The cheap baselines of one probe, as the head attribution stores them: rows in, one score a row out."""

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.methods.bm25 import bm25, bm25_index
from imprint.attribution.methods.mean_cosine import mean_cosines
from imprint.attribution.methods.representation import last_states
from imprint.corpus import Packed, repeated_ngram_rate
from imprint.models import evaluating


def random_scores(rows: int, *, seed: int) -> Float64[np.ndarray, "row"]:
    """A random ranking: what no method should fall below."""
    return np.random.default_rng(seed).random(rows)


def ngram_scores(packed: Packed, n: int = 2) -> Float64[np.ndarray, "row"]:
    """Share of a row's n-grams that occurred earlier in the same row: the surface statistic of repetition."""
    return repeated_ngram_rate(packed.tokens[:, 1:], packed.lengths, n).astype(np.float64)


def bm25_scores(packed: Packed, probe: Int[Tensor, "probe seq"], n: int = 3) -> Float64[np.ndarray, "row"]:
    """Mean BM25 of each row for the probe sequences, over token n-grams (no model)."""
    tokens, lengths = _tensors(packed)
    return bm25(bm25_index(tokens, lengths, n), probe, torch.full((len(probe),), probe.shape[1] - 1), n)


def embedding_scores(
    model: PreTrainedModel, packed: Packed, probe: Int[Tensor, "probe seq"], *, batch: int = 256
) -> Float64[np.ndarray, "row"]:
    """Cosine between a row's mean last hidden state and that of the probe, both minus the mean over rows."""
    tokens, lengths = _tensors(packed)
    texts = [(probe, torch.full((len(probe),), probe.shape[1]))]
    with evaluating(model):
        return np.asarray(mean_cosines(last_states(model), tokens[:, :-1], lengths, texts, batch=batch)[0])


def _tensors(packed: Packed) -> tuple[Int[Tensor, "row seq_plus_1"], Int[Tensor, "row"]]:
    return torch.from_numpy(packed.tokens), torch.from_numpy(packed.lengths.astype(np.int64))
