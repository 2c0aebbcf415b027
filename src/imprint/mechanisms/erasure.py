"""LEACE: the smallest affine edit after which no linear reader finds a cluster, and its cruder relatives as controls."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from imprint.errors import CorpusError
from imprint.interventions.activations import Affine
from imprint.mechanisms.moments import blocks, moments

_RANK_TOLERANCE = 1e-9
"""Directions of the whitened cross-covariance below this share of the largest are rounding, not concept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineMap:
    """x -> x - write read (x - mean): removes a few readings of x and leaves everything else where it was.

    `matrix` is the same map as x -> mean + matrix (x - mean).
    """

    read: Float[np.ndarray, "rank d"]
    write: Float[np.ndarray, "d rank"]
    mean: Float[np.ndarray, "d"]
    kind: str

    @property
    def rank(self) -> int:
        """The number of directions that are removed."""
        return len(self.read)

    @property
    def matrix(self) -> Float[np.ndarray, "d d"]:
        """P = I - write read; a projection (P P = P), oblique for LEACE."""
        return np.asarray(np.eye(len(self.mean)) - self.write @ self.read)

    def edit(self) -> Affine:
        """The map as an edit for `intervene` (single precision); dose 1 erases, .5 goes half way."""
        matrix, mean = (torch.from_numpy(part).float() for part in (self.matrix, self.mean))
        return Affine(matrix=matrix, mean=mean)

    def __call__(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The edited activations, in double precision."""
        return np.asarray(states - ((states - self.mean) @ self.read.T) @ self.write.T)


def leace(states: Float[np.ndarray, "n d"], labels: Int[np.ndarray, "n"], *, cluster: int | None = None) -> AffineMap:
    """The edit of least mean squared size that leaves zero covariance with the concept (exact on these activations).

    The concept is the label of every row (all clusters at once; -1 counts as one more class), or membership of one
    `cluster` against the rest. Streams over the rows. Source: Belrose et al. 2023, theorem 4.3.

    Raises:
        CorpusError: the concept does not vary, or the cluster does not occur.

    Trust: guards against linear readers and their loss, not against nonlinear ones; exact only for the tokens it was
    fitted on, so with few rows per dimension check a probe on held-out documents. What correlates with the cluster goes
    too: compare with `random_projection` and with the loss on other text.
    """
    concept = _concept(labels, cluster)
    sample = moments(states)
    values, vectors = np.linalg.eigh(sample.covariance)
    kept = values > values.max() * len(values) * np.finfo(np.float64).eps
    root = np.sqrt(values[kept])
    whiten, colour = (vectors[:, kept] / root).T, vectors[:, kept] * root
    left, sizes, _ = np.linalg.svd(whiten @ _cross_covariance(states, sample.mean, concept), full_matrices=False)
    basis = left[:, sizes > _RANK_TOLERANCE * sizes.max(initial=1e-300)]
    return AffineMap(read=basis.T @ whiten, write=colour @ basis, mean=sample.mean, kind="LEACE")


def mean_difference_projection(
    states: Float[np.ndarray, "n d"], labels: Int[np.ndarray, "n"], *, cluster: int
) -> AffineMap:
    """The orthogonal projection along the difference of means (cluster minus rest): erases too, but moves more."""
    mean = _mean(states)
    difference = _cross_covariance(states, mean, _concept(labels, cluster))[:, 0]
    direction = difference / np.linalg.norm(difference)
    return AffineMap(read=direction[None], write=direction[:, None], mean=mean, kind="mean difference")


def random_projection(states: Float[np.ndarray, "n d"], *, rank: int, seed: int) -> AffineMap:
    """The control: an orthogonal projection along `rank` random directions; a probe should hardly notice it."""
    drawn = np.random.default_rng(seed).standard_normal((states.shape[1], rank))
    basis = np.linalg.qr(drawn)[0]
    return AffineMap(read=basis.T.copy(), write=basis, mean=_mean(states), kind="random")


def leaked_covariance(
    states: Float[np.ndarray, "n d"], labels: Int[np.ndarray, "n"], *, cluster: int | None = None
) -> float:
    """The largest absolute covariance of a dimension with the concept: 0 = no linear reader beats a constant."""
    cross = _cross_covariance(states, _mean(states), _concept(labels, cluster))
    return float(np.abs(cross).max())


def squared_edit(edit: AffineMap, states: Float[np.ndarray, "n d"]) -> float:
    """The mean squared distance that an edit moves an activation: what erasure costs."""
    total = sum(float(np.square(edit(block) - block).sum()) for _, block in blocks(states))
    return total / len(states)


def _concept(labels: np.ndarray, cluster: int | None) -> Float[np.ndarray, "n concept"]:
    """Centred one-hot columns."""
    names = np.unique(labels) if cluster is None else np.array([cluster])
    columns = (labels[:, None] == names).astype(np.float64)
    constant = [int(name) for name, column in zip(names, columns.T, strict=True) if np.ptp(column) == 0]
    if constant:
        raise CorpusError(
            f"Cluster {constant[0]} holds all rows or none of the {len(labels)}, so there is nothing to erase; "
            f"the labels are {np.unique(labels).tolist()}."
        )
    return np.asarray(columns - columns.mean(0))


def _cross_covariance(states: np.ndarray, mean: np.ndarray, concept: np.ndarray) -> Float[np.ndarray, "d concept"]:
    total = np.zeros((states.shape[1], concept.shape[1]))
    for span, block in blocks(states):
        total += (block - mean).T @ concept[span]
    return total / len(states)


def _mean(states: np.ndarray) -> Float[np.ndarray, "d"]:
    return np.asarray(sum(block.sum(0) for _, block in blocks(states)) / len(states))
