"""Which pairs of points can be within a radius: one low-precision matrix product with a proven margin.

Rounding moves point i by a known distance d_i. If two points are within r, their rounded images are within
r + d_i + d_j, so nothing closer than r is missed; images within r - d_i - d_j come from points that are surely within r.
What lies between is for the caller to verify in double precision. The margin is a sum of one number a point, and so are
the squared norms: both ride along as extra columns of the product, and one comparison with zero decides.
"""

import time
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Places = Int[np.ndarray, "_"] | slice
"""Some of the points, by index or as a range."""

_PIECES = {torch.bfloat16: 3, torch.float32: 1}
_STEP = 128
_COARSE_OUTPUT = 2.0**-7
"""Largest relative error of one number of the product as it is stored, for any dtype here (bfloat16: 2**-9)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounded:
    """Points as the product sees them, and how far each may be from where it really is (radius 1 = eps)."""

    points: Tensor
    moved: Float[np.ndarray, "n"]
    norms: Float[np.ndarray, "n"]
    """Squared norm of the rounded point."""

    @staticmethod
    def of(points: Float[np.ndarray, "n d"], moved: Float[np.ndarray, "n"], dtype: torch.dtype) -> "Rounded":
        """Round points in double precision that were `moved` before."""
        rounded = torch.from_numpy(points).to(dtype)
        seen = rounded.double().numpy()
        shift = np.sqrt(((seen - points) ** 2).sum(1))
        return Rounded(points=rounded, moved=moved + shift, norms=(seen**2).sum(1))

    @staticmethod
    def join(parts: list["Rounded"]) -> "Rounded":
        """The parts one after another."""
        return Rounded(
            points=torch.cat([part.points for part in parts]),
            moved=np.concatenate([part.moved for part in parts]),
            norms=np.concatenate([part.norms for part in parts]),
        )


@final
class Screen:
    """Sorts pairs of points into: surely farther apart than 1, surely within 1, and to be verified."""

    def __init__(self, rounded: Rounded) -> None:
        """Prepare the extra columns."""
        dtype, width = rounded.points.dtype, rounded.points.shape[1]
        # Sums of `width` products, each sum rounded once in float32 (2**-24, doubled for hardware that truncates).
        summation = (width + 16) * 2.0**-23 * (2 * rounded.norms + 1)
        self.wide = 2 * rounded.moved + 2 * rounded.moved**2 + summation
        self._sure = (2 * self.wide).astype(np.float32)
        halves = _pieces((rounded.norms - 0.5 - self.wide) / 2, dtype)
        self._columns = halves.shape[1]
        self._matrix = torch.cat([rounded.points, halves, torch.ones_like(halves)], dim=1)

    def product(self, rows: Places, other: "Screen", columns: Places) -> Tensor:
        """Half of (1 + margin - squared distance) of rows here and columns there; below zero a pair is surely apart."""
        here, there = self._whole(rows), other._whole(columns)
        product = self._matrix[here] @ other._swapped(there).T
        return product[: _count(rows, self), : _count(columns, other)]

    def _whole(self, places: Places) -> Tensor:
        """The places, filled up with the last one to a multiple of 128.

        Every shape of product costs memory and time once (oneDNN keeps a kernel for each), so there must be few.
        """
        indices = torch.arange(len(self._matrix))[places] if isinstance(places, slice) else torch.from_numpy(places)
        return torch.cat([indices, indices[-1:].expand(-len(indices) % _STEP)])

    def _swapped(self, columns: Tensor) -> Tensor:
        """The columns with their extra numbers in the places where the rows' ones are, and the other way round."""
        other = self._matrix[columns]
        d = other.shape[1] - 2 * self._columns
        swapped = other[:, d : d + self._columns].neg()
        other[:, d : d + self._columns] = -1
        other[:, d + self._columns :] = swapped
        return other

    def sure(
        self,
        product: Float[np.ndarray, "pair"],
        rows: Int[np.ndarray, "pair"],
        other: "Screen",
        columns: Int[np.ndarray, "pair"],
    ) -> Bool[np.ndarray, "pair"]:
        """Which pairs, given their numbers in the product, are surely within 1."""
        return np.asarray(product * (1 - _COARSE_OUTPUT) >= (self._sure[rows] + other._sure[columns]) / 2)

    def best(
        self, product: Tensor, rows: Int[np.ndarray, "row"], other: "Screen", columns: Int[np.ndarray, "column"]
    ) -> tuple[Int[np.ndarray, "pair"], Int[np.ndarray, "pair"]]:
        """Pairs among which the nearest column of each row is, for rows with a column that may be within 1.

        Two columns whose products differ by more than their margins and the rounding of the product are in order.
        """
        top = product.max(dim=1).values.float().numpy()
        # `wide` covers distances up to 1 only; a column no farther than the best one within 1 is within 1.
        slack = 2 * self._sure[rows] + 2 * other._sure[columns].max()
        lowest = np.where(top >= 0, np.maximum(top * (1 - 2 * _COARSE_OUTPUT) - slack, 0), np.inf)
        near = product.float().numpy() >= lowest[:, None]
        left, right = np.nonzero(near)
        return left, right


def positive(product: Tensor) -> Bool[np.ndarray, "row column"]:
    """Where a product is not below zero; read from the sign bit, which NumPy compares many times faster."""
    kind = torch.int16 if product.dtype == torch.bfloat16 else torch.int32
    return np.asarray(product.view(kind).numpy() >= 0)


def fastest_dtype(width: int) -> torch.dtype:
    """bfloat16 where this machine multiplies it faster than float32, else float32; no result depends on it."""
    seconds = {dtype: _seconds(dtype, width) for dtype in (torch.float32, torch.bfloat16)}
    return min(seconds, key=lambda dtype: seconds[dtype])


def _seconds(dtype: torch.dtype, width: int) -> float:
    matrix = torch.ones(512, width, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(matrix, matrix.T)
        best = min(best, time.perf_counter() - start)
    return best


def _pieces(values: Float[np.ndarray, "n"], dtype: torch.dtype) -> Tensor:
    """The values as a sum of numbers of the dtype, one a column: three bfloat16 hold what one float32 holds."""
    rest, pieces = torch.from_numpy(values), []
    for _ in range(_PIECES[dtype]):
        pieces.append(rest.to(dtype))
        rest = rest - pieces[-1].double()
    return torch.stack(pieces, dim=1)


def _count(places: Places, screen: Screen) -> int:
    return len(range(*places.indices(len(screen.wide)))) if isinstance(places, slice) else len(places)
