"""Patterns inside the activations of one cluster: principal directions (SVD) and non-negative parts (NMF)."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from imprint.errors import ConfigError
from imprint.mechanisms.moments import blocks, moments

Negatives = Literal["clip", "split", "shift"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PrincipalDirections:
    """The right singular vectors v_k of a cluster's activations, largest first."""

    directions: Float[np.ndarray, "component d"]
    """Orthonormal; the sign is fixed (see `principal_directions`)."""
    singular_values: Float[np.ndarray, "component"]
    explained: Float[np.ndarray, "component"]
    """Share of the variance (centred) or of the mean square (uncentred) along each direction."""
    centre: Float[np.ndarray, "d"]
    """What was subtracted: the mean, or zero."""
    n: int


def principal_directions(
    states: Float[np.ndarray, "n d"],
    *,
    components: int,
    rows: Int[np.ndarray, "chosen"] | None = None,
    centred: bool = True,
    toward: Float[np.ndarray, "d"] | None = None,
) -> PrincipalDirections:
    """The SVD of the cluster's activations (of `rows`, if given), streamed: v_k of source 001, section 2.3.

    Centred: the directions in which members of the cluster differ. Uncentred: the first direction is close to the mean
    of the cluster, which a shift h + alpha v_k then adds. A singular vector has no sign of its own: each is turned so that
    its product with `toward` (say, cluster mean minus general mean) is positive, or without it its largest entry.

    Raises:
        ConfigError: more components than dimensions or rows.

    Trust: a few massive dimensions own the first directions of most models, so look at `explained` and standardise if
    one dimension makes up a direction. Directions with nearly equal singular values are arbitrary within their span.
    """
    sample = moments(states, rows)
    _check_components(components, min(sample.n, len(sample.mean)))
    second = sample.covariance if centred else sample.covariance + np.outer(sample.mean, sample.mean)
    values, vectors = np.linalg.eigh(second)
    values = np.maximum(values[::-1], 0.0)
    return PrincipalDirections(
        directions=_oriented(vectors[:, ::-1].T[:components], toward),
        singular_values=np.sqrt(values[:components] * sample.n),
        explained=values[:components] / max(float(values.sum()), 1e-300),
        centre=sample.mean if centred else np.zeros_like(sample.mean),
        n=sample.n,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NonNegativeParts:
    """Activations as sums of non-negative parts: states ~ weights @ parts, after the negatives were dealt with."""

    parts: Float[np.ndarray, "component feature"]
    """Unit norm, the most used part first. Features are dimensions, or twice as many for "split"."""
    weights: Float[np.ndarray, "n component"]
    directions: Float[np.ndarray, "component d"]
    """The parts in activation space (for "split" the positive half minus the negative half)."""
    negatives: Negatives
    lost: float
    """Share of the squared activations that handling the negatives threw away (only "clip" throws away)."""
    error: float
    """Share of the non-negative array's squares that the parts do not explain."""
    note: str = ""


def nonnegative_parts(
    states: Float[np.ndarray, "n d"],
    *,
    components: int,
    seed: int,
    rows: Int[np.ndarray, "chosen"] | None = None,
    negatives: Negatives = "split",
    max_iterations: int = 400,
) -> NonNegativeParts:
    """Non-negative matrix factorisation of the cluster's activations (scikit-learn, NNDSVDa start, squared error).

    Activations of a transformer are not non-negative, so say what happens to negatives: "split" gives each dimension a
    positive and a negative half and loses nothing; "clip" sets them to zero (right after a ReLU, see `lost`); "shift"
    subtracts each dimension's minimum, after which parts describe distances from that minimum.

    Raises:
        ConfigError: more components than dimensions or rows.

    Trust: the solution is a local optimum that depends on the start; a part found with one seed only is no pattern.
    The rows must fit into memory in double precision.
    """
    chosen = np.concatenate([block for _, block in blocks(states, rows)])
    _check_components(components, min(chosen.shape))
    array, lost = _without_negatives(chosen, negatives)
    model = NMF(n_components=components, init="nndsvda", max_iter=max_iterations, random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        weights, parts = model.fit_transform(array), model.components_
    residual = float(np.square(array - weights @ parts).sum()) / max(float(np.square(array).sum()), 1e-300)
    norms = np.maximum(np.linalg.norm(parts, axis=1), 1e-300)
    weights, parts = weights * norms, parts / norms[:, None]
    order = np.argsort(-np.square(weights).sum(0), kind="stable")
    d = chosen.shape[1]
    folded = parts[:, :d] - parts[:, d:] if negatives == "split" else parts
    return NonNegativeParts(
        parts=parts[order],
        weights=weights[:, order],
        directions=folded[order],
        negatives=negatives,
        lost=lost,
        error=residual,
        note=f"not converged after {max_iterations} iterations" if caught else "",
    )


def _check_components(components: int, most: int) -> None:
    if not 1 <= components <= most:
        raise ConfigError(f"{components} components were asked of activations that have 1 to {most}.")


def _oriented(vectors: np.ndarray, toward: np.ndarray | None) -> Float[np.ndarray, "component d"]:
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1)[:, 0]
    sign = largest if toward is None else vectors @ toward
    return np.asarray(np.where(sign < 0, -1.0, 1.0)[:, None] * vectors)


def _without_negatives(states: np.ndarray, negatives: Negatives) -> tuple[np.ndarray, float]:
    positive = np.maximum(states, 0)
    if negatives == "split":
        return np.concatenate([positive, np.maximum(-states, 0)], axis=1), 0.0
    if negatives == "shift":
        return states - states.min(0), 0.0
    total = max(float(np.square(states).sum()), 1e-300)
    return positive, float(np.square(states - positive).sum()) / total
