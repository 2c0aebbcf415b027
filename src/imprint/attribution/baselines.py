"""The cheap baselines that stand beside every attribution: they often win, and then the method has shown nothing."""

from collections.abc import Sequence

import bm25s
import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

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
    index = bm25s.BM25()
    index.index(
        [_ngrams(row[1 : 1 + length], n) for row, length in zip(packed.tokens, packed.lengths, strict=True)],
        show_progress=False,
    )
    total = np.zeros(len(packed.tokens))
    for query in probe.numpy():
        total += index.get_scores(_ngrams(query[1:], n))
    return total / len(probe)


def _ngrams(tokens: Sequence[int] | np.ndarray, n: int) -> list[str]:
    words = [str(int(token)) for token in tokens]
    return ["_".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]


@torch.no_grad()
def embedding_scores(
    model: PreTrainedModel, packed: Packed, probe: Int[Tensor, "probe seq"], *, batch: int = 256
) -> Float64[np.ndarray, "row"]:
    """Cosine between a row's mean last hidden state and that of the probe, both minus the mean over rows."""
    tokens = torch.from_numpy(packed.tokens[:, :-1])
    lengths = torch.from_numpy(packed.lengths.astype(np.int64))
    with evaluating(model):
        means = torch.cat(
            [_mean_state(model, tokens[i : i + batch], lengths[i : i + batch]) for i in range(0, len(tokens), batch)]
        )
        target = _mean_state(model, probe, torch.full((len(probe),), probe.shape[1])).mean(0, keepdim=True)
    cosine = torch.nn.functional.cosine_similarity(means - means.mean(0), target - means.mean(0))
    return cosine.double().numpy()


def _mean_state(model: PreTrainedModel, tokens: Int[Tensor, "row seq"], lengths: Int[Tensor, "row"]) -> Tensor:
    states: Tensor = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    real = (torch.arange(tokens.shape[1])[None, :] < lengths[:, None])[..., None].to(states.dtype)
    return (states * real).sum(1) / real.sum(1).clamp(min=1)
