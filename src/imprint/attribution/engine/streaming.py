"""The best rows of a stream of any length: nothing is kept but the k highest and the k lowest scores of each query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.scoring import score_pass
from imprint.attribution.engine.subspace import Subspace
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import evaluating
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Extremes:
    """The k rows that raise each query most (`top`, best first) and least (`bottom`, worst first), with their scores.

    Rows are numbered in the order of the stream; equal scores keep that order.
    """

    top: Int[Tensor, "query k"]
    top_scores: Float[Tensor, "query k"]
    bottom: Int[Tensor, "query k"]
    bottom_scores: Float[Tensor, "query k"]
    rows: int
    """How many rows the stream had."""


def stream_top(
    model: PreTrainedModel,
    subspace: Subspace,
    directions: Sequence[Float[Tensor, "query _out _in"]],
    chunks: Iterable[tuple[Int[Tensor, "row seq_plus_1"], Int[Tensor, "row"]]],
    k: int,
    *,
    batch: int = 64,
    advance: Advance = no_progress,
) -> Extremes:
    """Score a stream of (tokens, lengths) along preconditioned directions and keep its extremes.

    Positive = training on the row raises the query. Memory does not grow with the stream. Trust: extremes are where a
    first-order score is least reliable; look at the rows.

    Raises:
        ConfigError: k is not positive, or the stream has fewer than k rows.
        SelfCheckFailed: a score is not finite.
    """
    if k < 1:
        raise ConfigError(f"the top {k} rows were asked for; ask for one at least")
    high, low = _Best(k), _Best(k)
    seen = 0
    with evaluating(model):
        for tokens, lengths in chunks:
            passed = score_pass(
                model, subspace, directions, tokens, lengths, by_token=False, norms=False, batch=batch, advance=advance
            )
            scores = torch.cat(passed.rows, dim=2).sum(1) if passed.rows else torch.zeros(len(directions[0]), 0)
            if not bool(scores.isfinite().all()):
                raise SelfCheckFailed(
                    f"a score of rows {seen} to {seen + len(tokens)} is not finite; raise the damping"
                )
            rows = torch.arange(seen, seen + len(tokens))
            high.add(scores, rows)
            low.add(-scores, rows)
            seen += len(tokens)
    if seen < k:
        raise ConfigError(f"the top {k} rows were asked for, but the stream had {seen}")
    assert high.scores is not None
    assert low.scores is not None
    return Extremes(top=high.rows, top_scores=high.scores, bottom=low.rows, bottom_scores=-low.scores, rows=seen)


class _Best:
    """The k highest scores so far, best first."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.scores: Tensor | None = None
        self.rows = torch.zeros(0, 0, dtype=torch.long)

    def add(self, scores: Float[Tensor, "query row"], rows: Int[Tensor, "row"]) -> None:
        numbers = rows.expand(len(scores), -1)
        if self.scores is not None:
            scores, numbers = torch.cat([self.scores, scores], dim=1), torch.cat([self.rows, numbers], dim=1)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        self.scores, self.rows = scores.gather(1, order), numbers.gather(1, order)
