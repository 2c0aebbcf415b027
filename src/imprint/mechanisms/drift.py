"""How far an intervention moved a cluster: Mahalanobis distance before and after, with a null and a floor."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import CorpusError, InputError
from imprint.mechanisms.moments import group_sums, ledoit_wolf, moments, whitener
from imprint.stats import Effect, paired_difference

_LEAST_DOCUMENTS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """The paired Mahalanobis distance of a cluster before and after an intervention, in standard deviations."""

    distance: Effect
    """D_M, with an interval over documents along the direction of the drift."""
    p: float
    """Sign-flip p-value over documents: before and after are exchangeable under the null."""
    null_95: float
    """The 95th percentile of D_M when each document's before and after are swapped at random."""
    floor: float
    """Mean D_M between two random halves of the documents before the intervention: what an unpaired comparison of half
    the documents would report for no change at all."""
    shrinkage: float
    """Ledoit-Wolf shrinkage of the cluster's covariance."""


def mahalanobis(difference: Float[np.ndarray, "d"], covariance: Float[np.ndarray, "d d"]) -> float:
    """sqrt(difference' covariance^-1 difference): D_M of source 000, section 2.3.2, for one difference of means."""
    return float(np.linalg.norm(whitener(covariance) @ difference))


def unpaired_floor(n: int, d: int) -> float:
    """Root mean square of D_M between two samples of `n` from one normal distribution, each with its own noise.

    sqrt(2 d / n * n / (n - d - 2)) for the sample covariance of one of them (METHODS §5): .42 at n = 200, d = 16 and
    1.91 at d = 128, so an unpaired distance means nothing without it. The mean is slightly lower (.41 and 1.88).

    Raises:
        InputError: n is not above d + 2, where the expectation does not exist.
    """
    if n <= d + 2:
        raise InputError(f"n={n} samples in d={d} dimensions: the inverse covariance has no mean unless n > d + 2.")
    return float(np.sqrt(2 * d / (n - d - 2)))


def drift(
    before: Float[np.ndarray, "token d"],
    after: Float[np.ndarray, "after d_after"],
    documents: Int[np.ndarray, "numbered"],
    *,
    draws: int = 999,
    seed: int = 0,
) -> Drift:
    """D_M between the same tokens before and after, with the Ledoit-Wolf covariance of the cluster before.

    sqrt((mu - mu')' Sigma^-1 (mu - mu')), source 000; 0 exactly for a no-op. Means are over tokens; the null and the
    interval are over documents. Streams over the tokens.

    Raises:
        CorpusError: the two samples are not the same tokens, or come from fewer than 4 documents.
        SelfCheckFailed: an activation is not finite.

    Trust: sees a shift of the mean only; a rotation or a change of spread is seen by `cka` and `principal_angles`. Where
    the intervention's own direction has little variance in the cluster, D_M is large though the model may not care.
    """
    if before.shape != after.shape or len(documents) != len(before):
        raise CorpusError(
            f"Drift compares the same tokens: got {before.shape[0]} before, {after.shape[0]} after and {len(documents)} "
            "document numbers; capture both runs on one set of tokens."
        )
    numbers, place = np.unique(documents, return_inverse=True)
    place = place.reshape(-1)
    if len(numbers) < _LEAST_DOCUMENTS:
        raise CorpusError(
            f"The cluster comes from {len(numbers)} document(s), but the null needs {_LEAST_DOCUMENTS} independent ones."
        )
    sample = moments(before)
    covariance, shrinkage = ledoit_wolf(sample)
    whiten = whitener(covariance)
    tokens, sums = np.bincount(place), group_sums(before, place, len(numbers))
    moved = (group_sums(after, place, len(numbers)) - sums) @ whiten.T
    stayed = (sums - tokens[:, None] * sample.mean) @ whiten.T
    null = _sign_flips(moved, draws, seed) / len(before)
    observed = float(np.linalg.norm(moved.sum(0))) / len(before)
    return Drift(
        distance=_along_drift(moved, len(before), seed),
        p=(int((null >= observed * (1 - 1e-12)).sum()) + 1) / (draws + 1),
        null_95=float(np.quantile(null, 0.95)),
        floor=float(split_half_distances(stayed, tokens, draws=draws, seed=seed + 1).mean()),
        shrinkage=shrinkage,
    )


def split_half_distances(
    sums: Float[np.ndarray, "doc d"], tokens: Int[np.ndarray, "doc"], *, draws: int, seed: int
) -> Float[np.ndarray, "draw"]:
    """Distances between the means of two random halves of documents, from each document's whitened sum and size."""
    generator = np.random.default_rng(seed)
    half = np.zeros(len(sums))
    half[: len(sums) // 2] = 1.0
    first = np.stack([generator.permutation(half) for _ in range(draws)])
    count = first @ tokens
    mean, rest = first @ sums / count[:, None], (1 - first) @ sums / (tokens.sum() - count)[:, None]
    return np.asarray(np.linalg.norm(mean - rest, axis=1))


def _sign_flips(sums: np.ndarray, draws: int, seed: int) -> Float[np.ndarray, "draw"]:
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(sums)))
    return np.asarray(np.linalg.norm(signs @ sums, axis=1))


def _along_drift(moved: np.ndarray, tokens: int, seed: int) -> Effect:
    """D_M as the mean over documents of their movement along the common direction (first order; exact estimate)."""
    total = moved.sum(0)
    length = np.linalg.norm(total)
    shares = moved @ (total / length) if length > 0 else np.zeros(len(moved))
    return paired_difference(
        shares * len(moved) / tokens,
        np.zeros(len(moved)),
        seed=seed,
        unit="document",
        control_name="the same tokens before the intervention",
        metric="drift D_M",
        draws=2000,
    )
