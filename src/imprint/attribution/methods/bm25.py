"""BM25: rows that share rare n-grams with the query's text come first."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int
from torch import Tensor

from imprint.attribution.methods.interface import Problem, query_texts
from imprint.types import Advance, no_progress


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let an optional package look as if it were not installed while the block imports another one."""
    held = {package: sys.modules[package]} if package in sys.modules else {}
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
        sys.modules.update(held)


# bm25s tries out jax at import, and jax on a GPU then takes three quarters of its memory, for a sort that is not used here.
with _without("jax"):
    import bm25s


@dataclass(frozen=True, kw_only=True, slots=True)
class BM25:
    """Mean BM25 (Lucene's, k1 1.5, b .75) of each row for the query's texts, over token n-grams; no model.

    Cost: one inverted index over the rows. Trust: lexical overlap, not influence; yet it beats several gradient methods in
    published leaderboards (METHODS §3.2: LDS .22, above TRAK and gradient cosine), so it belongs beside every score.
    """

    name: ClassVar[str] = "BM25"
    needs_training: ClassVar[bool] = False
    n: int = 1
    """Tokens a word; 1 for subword vocabularies, 3 or more for bytes."""

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`."""
        index = bm25_index(problem.tokens, problem.lengths, self.n)
        return np.stack(
            [bm25(index, tokens, lengths, self.n) for tokens, lengths in query_texts(problem, self.name)],
        )


def bm25_index(tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"], n: int) -> bm25s.BM25:
    """An index of the rows' token n-grams, without column 0 and padding."""
    index = bm25s.BM25()
    index.index([_ngrams(row, n) for row in _real(tokens, lengths)], show_progress=False)
    return index


def bm25(
    index: bm25s.BM25, tokens: Int[Tensor, "text text_plus_1"], lengths: Int[Tensor, "text"], n: int
) -> Float64[np.ndarray, "row"]:
    """Mean over the texts of the BM25 of every indexed row."""
    scores = [np.asarray(index.get_scores(_ngrams(text, n)), dtype=np.float64) for text in _real(tokens, lengths)]
    return np.asarray(np.mean(scores, axis=0))


def _real(tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]) -> list[list[int]]:
    return [row[1 : 1 + length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]


def _ngrams(tokens: Sequence[int], n: int) -> list[str]:
    words = [str(token) for token in tokens]
    return ["_".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]
