"""Words and marks of a text, and how often each document has each n-gram of a shared vocabulary."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array

from imprint.errors import ConfigError

Tokenize = Callable[[str], Sequence[str]]
OTHER = "(all other n-grams)"
"""What n-grams beyond the most frequent ones count as, so that shares still add to one."""
_TOKEN = re.compile(r"\w+|[^\w\s]")


def surface_tokens(text: str) -> list[str]:
    """Words (runs of letters, digits and underscores, case kept) and single marks, in order.

    Trust: scripts that do not part words by spaces (Chinese, Thai) give one word for a whole run.
    """
    return _TOKEN.findall(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class NgramCounts:
    """Counts of n-grams by document; n-grams are in alphabetical order, `OTHER` (if any) is the last."""

    counts: csr_array
    """Whole numbers, shape (document, gram)."""
    grams: tuple[str, ...]

    @property
    def document_frequency(self) -> Int[np.ndarray, "gram"]:
        """In how many documents each n-gram occurs."""
        return np.bincount(self.counts.indices, minlength=len(self.grams))

    def totals(self, rows: Int[np.ndarray, "some"]) -> Int[np.ndarray, "gram"]:
        """How often each n-gram occurs in these documents together."""
        return np.asarray(self.counts[rows].sum(axis=0)).ravel().astype(np.int64)


def ngram_counts(
    texts: Sequence[str], *, n: int = 1, most: int = 50_000, tokenize: Tokenize = surface_tokens
) -> NgramCounts:
    """N-grams of `n` tokens in every text; the `most` frequent have a column, all others share `OTHER`.

    Raises:
        ConfigError: `n` or `most` below 1, or texts without a single n-gram.
    """
    if n < 1 or most < 1:
        raise ConfigError(f"n={n} and most={most} must be at least 1; correct them.")
    found = [_grams(tokenize(text), n) for text in texts]
    totals: Counter[tuple[str, ...]] = Counter()
    for one in found:
        totals.update(one)
    if not totals:
        raise ConfigError(f"none of {len(texts)} texts has {n} token(s) in a row, so there is nothing to count.")
    kept = sorted(sorted(totals, key=lambda gram: (-totals[gram], gram))[:most])
    column = {gram: place for place, gram in enumerate(kept)}
    names = [" ".join(gram) for gram in kept] + ([OTHER] if len(totals) > len(kept) else [])
    return NgramCounts(counts=_table(found, column, len(names)), grams=tuple(names))


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[shift:] for shift in range(n)), strict=False))


def _table(found: Sequence[Counter[tuple[str, ...]]], column: dict[tuple[str, ...], int], columns: int) -> csr_array:
    rows = [row for row, one in enumerate(found) for _ in one]
    places = [column.get(gram, columns - 1) for one in found for gram in one]
    values = [count for one in found for count in one.values()]
    table = csr_array((np.array(values, dtype=np.int64), (rows, places)), shape=(len(found), columns))
    table.sum_duplicates()
    return table
