"""A lower bound on distances from a few numbers a point: principal coordinates and the norm of what they leave out.

For orthonormal W: |x - y|^2 >= |W'x - W'y|^2 + (|x - WW'x| - |y - WW'y|)^2, so points whose images are more than 1 apart
are more than 1 apart. It removes pairs before the full-width product and can never change a label.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from imprint.corpus.clusters.scaled import Frame
from imprint.corpus.clusters.screen import Rounded, Screen, positive

WIDTH = 48
_SAMPLE = 8192
_CHUNK = 8192
_WORTH = 0.85
"""Compare only the survivors when they span less than this share of a rectangle: copying them costs something."""
_TRIALS, _FEWEST = 40, 0.9
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Coarse:
    """The principal axes of a sample of states."""

    frame: Frame
    axes: Float[Tensor, "d k"]

    @staticmethod
    def fit(states: Float[np.ndarray, "n d"], frame: Frame) -> "Coarse":
        """Axes of at most 8192 states, drawn without chance playing into any result."""
        chosen = np.random.default_rng(_SEED).permutation(len(states))[:_SAMPLE]
        sample = torch.from_numpy(frame.scale(states[np.sort(chosen)]).astype(np.float32))
        sample = sample - sample.mean(0)
        _, vectors = torch.linalg.eigh(sample.T @ sample)
        return Coarse(frame=frame, axes=vectors.flip(1)[:, :WIDTH].contiguous())

    def image(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Principal coordinates and residual norm of every state, in units of eps, in single precision."""
        images = [self._image(states[start : start + _CHUNK]) for start in range(0, len(states), _CHUNK)]
        return np.concatenate(images)

    def bound(self, states: Float[np.ndarray, "n d"]) -> "Bound":
        """The bound for all pairs of these states."""
        return Bound(self.image(states), self.axes.shape[0], self.frame.dtype)

    def _image(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        points = torch.from_numpy(self.frame.scale(states).astype(np.float32))
        inside = points @ self.axes
        outside = (points - inside @ self.axes.T).norm(dim=1)
        return np.asarray(torch.cat([inside, outside[:, None]], dim=1).numpy())


@final
class Bound:
    """Removes rows and columns of a rectangle that have no pair within reach; gives up where that does not pay."""

    def __init__(self, image: Float[np.ndarray, "n k"], width: int, dtype: torch.dtype) -> None:
        """Round the image; its own error from single precision counts as moved points."""
        self.image = image
        points = image.astype(np.float64)
        # Each coordinate is a sum of `width` products; its error is below width x 2**-24 x norm, and W is as inexact.
        self.moved = 4 * width * 2.0**-24 * np.linalg.norm(points, axis=1)
        self._screen = Screen(Rounded.of(points, self.moved, dtype))
        self._tried, self._asked, self._left = 0, 0, 0

    def survivors(
        self, rows: Int[np.ndarray, "row"], columns: Int[np.ndarray, "column"]
    ) -> tuple[Int[np.ndarray, "near_row"], Int[np.ndarray, "near_column"]]:
        """The rows and columns that still have a pair to compare (all of them where few could be removed)."""
        if len(rows) == 0 or len(columns) == 0 or not self._pays:
            return rows, columns
        near = positive(self._screen.product(rows, self._screen, columns))
        some_rows, some_columns = near.any(1), near.any(0)
        left = int(some_rows.sum()) * int(some_columns.sum())
        worth = left < _WORTH * near.size
        self._tried += 1
        self._asked += near.size
        self._left += left if worth else near.size
        return (rows[some_rows], columns[some_columns]) if worth else (rows, columns)

    @property
    def _pays(self) -> bool:
        """Whether the bound has removed enough so far; the first, nearest tiles are not representative."""
        return self._tried < _TRIALS or self._left < _FEWEST * self._asked
