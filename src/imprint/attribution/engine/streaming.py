"""The best rows of a stream of any length: nothing is kept but the k highest and the k lowest scores of each query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.scoring import score_pass
from imprint.attribution.engine.shards import claim
from imprint.attribution.engine.subspace import Subspace
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import evaluating
from imprint.runs import atomic_file
from imprint.types import Advance, no_progress

_STATE_FILE = "extremes.safetensors"


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
    folder: Path | None = None,
    advance: Advance = no_progress,
) -> Extremes:
    """Score a stream of (tokens, lengths) along preconditioned directions and keep its extremes.

    Positive = training on the row raises the query. Memory does not grow with the stream. With a `folder` the extremes
    so far are kept there after every chunk, and a killed run that is given the same stream again skips the rows that it
    had scored. Trust: extremes are where a first-order score is least reliable; look at the rows.

    Raises:
        ConfigError: k is not positive, the stream has fewer than k rows, or the folder is that of another stream.
        SelfCheckFailed: a score is not finite.
    """
    if k < 1:
        raise ConfigError(f"the top {k} rows were asked for; ask for one at least")
    high, low = _Best(k), _Best(k)
    if folder is not None:
        claim(folder, "the extremes of another stream", (k, subspace.name), directions)
    done = 0 if folder is None else _resume(folder, high, low)
    seen = 0
    with evaluating(model):
        for tokens, lengths in chunks:
            known = min(len(tokens), max(0, done - seen))
            tokens, lengths, seen = tokens[known:], lengths[known:], seen + known
            advance(known)
            if len(tokens) == 0:
                continue
            passed = score_pass(
                model, subspace, directions, tokens, lengths, by_token=False, norms=False, batch=batch, advance=advance
            )
            scores = _finite(torch.cat(passed.rows, dim=2).sum(1), seen)
            rows = torch.arange(seen, seen + len(tokens))
            high.add(scores, rows)
            low.add(-scores, rows)
            seen += len(tokens)
            if folder is not None:
                _keep(folder, high, low, seen)
    if seen < k:
        raise ConfigError(f"the top {k} rows were asked for, but the stream had {seen}")
    assert high.scores is not None
    assert low.scores is not None
    return Extremes(top=high.rows, top_scores=high.scores, bottom=low.rows, bottom_scores=-low.scores, rows=seen)


def _finite(scores: Float[Tensor, "query row"], seen: int) -> Float[Tensor, "query row"]:
    if not bool(scores.isfinite().all()):
        raise SelfCheckFailed(f"a score of rows {seen} to {seen + scores.shape[1]} is not finite; raise the damping")
    return scores


def _keep(folder: Path, high: "_Best", low: "_Best", seen: int) -> None:
    """What a killed run goes on from."""
    assert high.scores is not None
    assert low.scores is not None
    state = {"high": high.scores, "high_rows": high.rows, "low": low.scores, "low_rows": low.rows}
    with atomic_file(folder / _STATE_FILE) as partial:
        save_file({**state, "seen": torch.tensor(seen)}, partial)


def _resume(folder: Path, high: "_Best", low: "_Best") -> int:
    """How many rows had been scored; their extremes are put into `high` and `low`."""
    if not (folder / _STATE_FILE).exists():
        return 0
    state = load_file(folder / _STATE_FILE)
    high.scores, high.rows, low.scores, low.rows = state["high"], state["high_rows"], state["low"], state["low_rows"]
    return int(state["seen"])


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
