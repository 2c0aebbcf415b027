"""Which rows each retraining keeps: half of them, or all but a few; the two are different questions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

from imprint.errors import ConfigError
from imprint.runs import derive

Setting = Literal["small drop", "half"]
"""`small drop`: all rows but a few (the neighbourhood of the run); `half`: a random half (far from it)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subsets:
    """Rows kept by each of several retrainings, all of one setting: LDS of different settings must not be compared."""

    setting: Setting
    kept: Bool[np.ndarray, "subset row"]

    def __len__(self) -> int:
        """Number of subsets."""
        return len(self.kept)

    @property
    def rows(self) -> int:
        """Number of rows that there are to keep."""
        return int(self.kept.shape[1])

    @property
    def dropped(self) -> tuple[tuple[int, ...], ...]:
        """The rows that each subset leaves out, ascending."""
        return tuple(tuple(np.flatnonzero(~row).tolist()) for row in self.kept)


def half_subsets(rows: int, count: int, *, seed: int) -> Subsets:
    """`count` random halves of the rows (alpha = .5), drawn independently of each other.

    Raises:
        ConfigError: fewer than 2 rows or fewer than 1 subset.
    """
    return _drawn("half", rows, count, rows // 2, seed)


def small_drops(rows: int, count: int, *, dropped: int, seed: int) -> Subsets:
    """`count` subsets that leave out `dropped` random rows each (about 1 % in the literature).

    Raises:
        ConfigError: fewer than 1 subset, or `dropped` is not in 1 to half of the rows.
    """
    return _drawn("small drop", rows, count, dropped, seed)


def _drawn(setting: Setting, rows: int, count: int, dropped: int, seed: int) -> Subsets:
    if count < 1 or not 1 <= dropped <= rows // 2:
        raise ConfigError(f"{count} subsets of {rows} rows without {dropped}: leave out 1 to half of the rows")
    generator = np.random.default_rng(derive(seed, "subsets", setting, rows, dropped))
    kept = np.ones((count, rows), dtype=bool)
    for row in kept:
        row[generator.permutation(rows)[:dropped]] = False
    return Subsets(setting=setting, kept=kept)
