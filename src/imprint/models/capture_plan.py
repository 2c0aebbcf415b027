"""Which tokens of a capture are stored, in which order, in which parts, and which rows run together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from imprint.errors import CorpusError

PART_TOKENS = 16_384
"""Tokens between two points from which a killed capture can go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CapturePlan:
    """Which tokens are stored where: rows in order, each from `skip` to its length."""

    tokens: Int[np.ndarray, "row seq"]
    lengths: Int[np.ndarray, "row"]
    skip: int
    starts: Int[np.ndarray, "row_plus_1"]
    """Where each row's states begin, and where the last one's end."""

    @staticmethod
    def of(tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], skip: int) -> "CapturePlan":
        """The plan for rows of these lengths; `CorpusError` if it stores nothing."""
        kept = np.maximum(lengths - skip, 0)
        if kept.sum() == 0:
            raise CorpusError(f"no token is left to capture of {len(tokens)} rows when {skip} leading ones are skipped")
        return CapturePlan(tokens=tokens, lengths=lengths, skip=skip, starts=np.concatenate([[0], np.cumsum(kept)]))

    @property
    def stored(self) -> int:
        """All states of a site."""
        return int(self.starts[-1])

    def parts(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows of about `PART_TOKENS` states each."""
        first = 0
        while first < len(self.tokens):
            last = int(np.searchsorted(self.starts, self.starts[first] + PART_TOKENS, side="right")) - 1
            yield first, max(last, first + 1)
            first = max(last, first + 1)

    def batches(self, first: int, last: int, batch_tokens: int) -> Iterator[Int[np.ndarray, "batch"]]:
        """The rows of a part, those of like length together; rows that store nothing are left out."""
        rows = np.arange(first, last)
        rows = rows[self.lengths[rows] > self.skip]
        rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        while len(rows):
            count = max(1, batch_tokens // int(self.lengths[rows[0]]))
            yield np.sort(rows[:count])
            rows = rows[count:]

    def columns(self) -> dict[str, Int[np.ndarray, "token"]]:
        """Row, position and token id of every state."""
        kept = np.arange(self.tokens.shape[1])[None, :] < self.lengths[:, None]
        kept[:, : self.skip] = False
        row, position = np.nonzero(kept)
        return {"row": row, "position": position, "token_id": self.tokens[kept]}
