"""An order of points in which neighbours stand near each other, and the tiles of that order, nearest pairs first."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_ITERATIONS = 4
_CHUNK = 16_384
_POINTS_A_CELL = 512
_SEED = 0
"""k-means starts from random points; the order never changes a label, so the seed is nobody's business."""


def spatial_order(image: Float[np.ndarray, "n k"], tile: int) -> Int[np.ndarray, "n"]:
    """A permutation that puts points of the same k-means cell side by side; the identity if one tile holds them all."""
    if len(image) <= tile:
        return np.arange(len(image))
    points = torch.from_numpy(image)
    cells, centres = _cells(points, max(8, len(image) // _POINTS_A_CELL))
    rank = torch.empty(len(centres), dtype=torch.int64)
    rank[_chain(centres)] = torch.arange(len(centres))
    return np.asarray(rank[cells].argsort(stable=True).numpy())


def tiles(
    image: Float[np.ndarray, "n k"], moved: Float[np.ndarray, "n"], tile: int
) -> list[tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]]:
    """Every unordered pair of tiles (also of one with itself) that can hold points within 1 of each other, nearest first.

    `image` holds points whose distances are at most the true ones, give or take what they `moved`.
    """
    parts = [np.arange(start, min(start + tile, len(image))) for start in range(0, len(image), tile)]
    centres = np.stack([image[part].mean(0, dtype=np.float64) for part in parts])
    spreads = [np.linalg.norm(image[part] - centre, axis=1) for part, centre in zip(parts, centres, strict=True)]
    radii = np.array([(spread + moved[part]).max() for part, spread in zip(parts, spreads, strict=True)])
    left, right = np.triu_indices(len(parts))
    gaps = np.concatenate([np.linalg.norm(centres[one] - centres[one:], axis=1) for one in range(len(parts))])
    reach = gaps - radii[left] - radii[right] <= 1 + 1e-9 * (1 + gaps)
    return [(parts[left[pair]], parts[right[pair]]) for pair in np.argsort(gaps, kind="stable") if reach[pair]]


def _cells(points: Float[Tensor, "n k"], count: int) -> tuple[Int[Tensor, "n"], Float[Tensor, "cell k"]]:
    generator = torch.Generator().manual_seed(_SEED)
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(_ITERATIONS):
        cells = torch.cat([_nearest(chunk, centres) for chunk in torch.split(points, _CHUNK)])
        sizes = torch.bincount(cells, minlength=count).clamp_min(1)
        centres = torch.zeros_like(centres).index_add_(0, cells, points) / sizes[:, None]
    return cells, centres


def _nearest(points: Float[Tensor, "n k"], centres: Float[Tensor, "cell k"]) -> Int[Tensor, "n"]:
    return torch.addmm((centres**2).sum(1)[None], points, centres.T, alpha=-2.0).argmin(1)


def _chain(centres: Float[Tensor, "cell k"]) -> Int[Tensor, "cell"]:
    """The centres in a chain that goes on to the nearest one not yet in it."""
    left = torch.ones(len(centres), dtype=torch.bool)
    chain = [0]
    for _ in range(len(centres) - 1):
        left[chain[-1]] = False
        gaps = ((centres - centres[chain[-1]]) ** 2).sum(1)
        chain.append(int(gaps.masked_fill(~left, float("inf")).argmin()))
    return torch.tensor(chain)
