"""Cosine of mean token vectors, minus the mean over the rows: what both similarity baselines are."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from imprint.models import label_mask
from imprint.types import Advance, no_progress

Vectors = Callable[[Int[Tensor, "row seq"]], Float[Tensor, "row seq feature"]]
"""One vector a position from token ids."""
Texts = Sequence[tuple[Int[Tensor, "_text _seq"], Int[Tensor, "_text"]]]
"""Token ids and lengths, query by query."""


@torch.no_grad()
def mean_cosines(
    vectors: Vectors,
    tokens: Int[Tensor, "row seq"],
    lengths: Int[Tensor, "row"],
    texts: Texts,
    *,
    batch: int,
    advance: Advance = no_progress,
) -> Float64[np.ndarray, "query row"]:
    """Cosine in [-1, 1] of each row's mean vector with each query's, both minus the mean over the rows.

    The first `lengths` positions of a row count; a query's vector is the mean over its texts. Rows at the very mean score 0.
    """
    means = []
    for start in range(0, len(tokens), batch):
        means.append(_mean(vectors, tokens[start : start + batch], lengths[start : start + batch]))
        advance(len(means[-1]))
    rows = torch.cat(means)
    queries = torch.stack([_mean(vectors, text, length).mean(0) for text, length in texts])
    centre = rows.mean(0)
    rows, queries = rows - centre, queries - centre
    return torch.nn.functional.cosine_similarity(queries[:, None], rows[None], dim=-1).numpy()


def _mean(
    vectors: Vectors, tokens: Int[Tensor, "row seq"], lengths: Int[Tensor, "row"]
) -> Float64[Tensor, "row feature"]:
    real = label_mask(lengths, tokens.shape[1]).double()[..., None]
    return (vectors(tokens).double().cpu() * real).sum(1) / real.sum(1).clamp(min=1)
