"""A packed corpus read from disk a chunk at a time, so that its size is no matter."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int64, Shaped

from imprint.errors import CorpusError
from imprint.runs import read_json

_LOOKED_AT = 4096
"""Rows whose tokens are looked at together."""


class MappedRows:
    """The rows of a saved `Packed` as memory-mapped files: only what is asked for is ever in memory."""

    def __init__(self, folder: Path) -> None:
        """Open the files that `Packed.save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        self._folder = folder
        try:
            self._tokens, self._lengths, self._document = (
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in ("tokens", "lengths", "document")
            )
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(f"{folder} does not hold a complete packed corpus ({error}); pack it again.") from error

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._tokens)

    @property
    def context(self) -> int:
        """Most tokens that a row can hold after BOS."""
        return int(self._tokens.shape[1]) - 1

    def take(
        self, rows: Int[np.ndarray, " chosen"]
    ) -> tuple[Int64[np.ndarray, "chosen seq_plus_1"], Int64[np.ndarray, " chosen"]]:
        """Tokens and lengths of some rows."""
        return np.array(self._tokens[rows], np.int64), np.array(self._lengths[rows], np.int64)

    def chunks(self, rows: int) -> Iterator[tuple[Int64[np.ndarray, "row seq_plus_1"], Int64[np.ndarray, " row"]]]:
        """Tokens and lengths of all rows in their order, `rows` at a time."""
        for start in range(0, len(self), rows):
            chosen = slice(start, start + rows)
            yield np.array(self._tokens[chosen], np.int64), np.array(self._lengths[chosen], np.int64)

    def largest_token(self) -> int:
        """The highest token id, found a chunk at a time."""
        return max(int(tokens.max()) for tokens, _ in self.chunks(_LOOKED_AT))

    def names(
        self, rows: Int[np.ndarray, " chosen"]
    ) -> tuple[Shaped[np.ndarray, " chosen"], Shaped[np.ndarray, " chosen"]]:
        """Document ids and domains of some rows. Trust: the names of all documents pass through memory."""
        words = read_json(self._folder / "packed.json")
        documents = self._document[rows].tolist()
        ids, domains = words["document_ids"], words["domains"]
        return np.array([ids[place] for place in documents]), np.array([domains[place] for place in documents])
