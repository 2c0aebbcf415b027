"""Points in units of eps around a common centre, in two forms: rounded for screening, and exact for verifying."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from imprint.corpus.clusters.screen import Rounded, Screen, positive
from imprint.errors import ConfigError, CorpusError

_CHUNK = 4096
_VERIFIED_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The centre that is subtracted, the radius that becomes 1, and the dtype of the matrix products.

    Labels depend on none of the three except the radius: centre and dtype only decide how many pairs must be verified.
    """

    centre: Float[np.ndarray, "d"]
    eps: float
    dtype: torch.dtype

    def scale(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Double-precision points around the centre, in units of eps."""
        return np.asarray((states.astype(np.float64) - self.centre) / self.eps)


@final
class Points:
    """States with a screen for them; `neighbours` finds the pairs within eps, as double precision decides."""

    def __init__(self, states: Float[np.ndarray, "n d"], frame: Frame) -> None:
        """Round the states, a few thousand at a time; the states themselves are kept as they are."""
        self.states, self.frame = states, frame
        chunks = (states[start : start + _CHUNK] for start in range(0, len(states), _CHUNK))
        self.screen = Screen(Rounded.join([_rounded(frame.scale(chunk), frame.dtype) for chunk in chunks]))
        self.verified = 0

    def __len__(self) -> int:
        """Number of points."""
        return len(self.states)

    def neighbours(
        self, rows: Int[np.ndarray, "row"], other: "Points", columns: Int[np.ndarray, "column"]
    ) -> tuple[Int[np.ndarray, "pair"], Int[np.ndarray, "pair"]]:
        """All pairs (one of the rows here, one of the columns there) at a distance of at most eps."""
        product = self.screen.product(rows, other.screen, columns)
        left, right = np.divmod(np.flatnonzero(positive(product)), len(columns))
        numbers = product[torch.from_numpy(left), torch.from_numpy(right)].float().numpy()
        left, right = rows[left], columns[right]
        accepted = self.screen.sure(numbers, left, other.screen, right)
        unsure = np.flatnonzero(~accepted)
        accepted[unsure] = self.within(left[unsure], other, right[unsure])
        return left[accepted], right[accepted]

    def closest(
        self, rows: Int[np.ndarray, "row"], other: "Points", columns: Int[np.ndarray, "column"]
    ) -> tuple[Int[np.ndarray, "pair"], Int[np.ndarray, "pair"]]:
        """Pairs among which the nearest column within eps of each row is, for every row that has one."""
        product = self.screen.product(rows, other.screen, columns)
        left, right = self.screen.best(product, rows, other.screen, columns)
        return rows[left], columns[right]

    def within(
        self, left: Int[np.ndarray, "pair"], other: "Points", right: Int[np.ndarray, "pair"]
    ) -> Bool[np.ndarray, "pair"]:
        """Which pairs are at most eps apart, in double precision."""
        return np.asarray(self.squared(left, other, right) <= self.frame.eps**2)

    def squared(
        self, left: Int[np.ndarray, "pair"], other: "Points", right: Int[np.ndarray, "pair"]
    ) -> Float[np.ndarray, "pair"]:
        """The squared distances of pairs: differences in double precision, squared and added."""
        self.verified += len(left)
        squared = np.empty(len(left))
        for start in range(0, len(left), _VERIFIED_AT_ONCE):
            part = slice(start, start + _VERIFIED_AT_ONCE)
            gap = self.states[left[part]].astype(np.float64)
            gap -= other.states[right[part]]
            squared[part] = np.einsum("pd,pd->p", gap, gap)
        return squared


def check_states(states: Any, what: str = "states") -> None:
    """Refuse what has no distances.

    Raises:
        CorpusError: not two axes, no point, no dimension, or a value that is not finite.
    """
    if getattr(states, "ndim", 0) != 2 or 0 in states.shape:
        raise CorpusError(f"{what} must be an array (point, dimension) with at least one of each, got {states.shape}")
    for start in range(0, len(states), _CHUNK):
        wrong = np.flatnonzero(~np.isfinite(states[start : start + _CHUNK]).all(1))
        if len(wrong):
            raise CorpusError(
                f"{what}: point {start + int(wrong[0])} holds NaN or infinity, so it has no distance to any other; "
                f"drop such points, or capture in bfloat16 or float32 if float16 overflowed"
            )


def check_eps(eps: float, min_samples: int) -> None:
    """Refuse a radius or a number of neighbours that define no clusters.

    Raises:
        ConfigError: eps is not a positive number, or min_samples is below 1.
    """
    if not (np.isfinite(eps) and eps > 0):
        raise ConfigError(f"eps={eps} must be a positive number: the distance within which points are neighbours")
    if min_samples < 1:
        raise ConfigError(f"min_samples={min_samples} must be at least 1 (a point counts as its own neighbour)")


def mean_state(states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d"]:
    """The mean in double precision, a chunk at a time."""
    total = np.zeros(states.shape[1])
    for start in range(0, len(states), _CHUNK):
        total += states[start : start + _CHUNK].sum(0, dtype=np.float64)
    return total / len(states)


def _rounded(points: Float[np.ndarray, "n d"], dtype: torch.dtype) -> Rounded:
    return Rounded.of(points, np.zeros(len(points)), dtype)
