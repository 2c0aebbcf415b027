"""The transfer matrix: how far the rows that raise one head are the rows that raise another, by pair and by role."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Shaped
from scipy.stats import rankdata

from imprint.attribution.role_contrast import RoleContrast, role_contrast
from imprint.errors import InputError
from imprint.stats.samples import top_count

BOOTSTRAPS = 300
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferMatrix:
    """Spearman and top overlap of every pair of heads; symmetric, 1 on the diagonal."""

    heads: tuple[str, ...]
    flat: tuple[str, ...]
    """Heads left out because every row has the same score on them (a head that writes nothing)."""
    spearman: Float64[np.ndarray, "head head"]
    spearman_low: Float64[np.ndarray, "head head"]
    spearman_high: Float64[np.ndarray, "head head"]
    overlap: Float64[np.ndarray, "head head"]
    overlap_low: Float64[np.ndarray, "head head"]
    overlap_high: Float64[np.ndarray, "head head"]
    chance: float
    """Overlap of unrelated tops: the share of rows that the top holds."""
    rows: int
    units: int
    """What was resampled for the intervals: documents."""
    contrast: RoleContrast


def transfer_matrix(
    scores: Mapping[str, Float[np.ndarray, " row"]],
    roles: Mapping[str, str],
    *,
    fraction: float,
    documents: Shaped[np.ndarray, " row"] | None = None,
    seed: int = 0,
    draws: int = BOOTSTRAPS,
) -> TransferMatrix:
    """Agreement of every pair of heads, with 95 % percentile intervals from a bootstrap over documents.

    `roles` name each head's role ("induction" counts; "" is none); a line that they do not name is in the matrix but not
    in the contrast. `documents` are those of the rows (by default each row is its own). Trust: all heads are asked about
    the same probe and see the same losses, so heads without any common mechanism still agree beyond chance: read `within`
    against `between`, not against chance. Heads of one layer also read the same input, so the role is dealt anew within
    layers only.

    Raises:
        InputError: fewer than two heads that tell rows apart, or a fraction outside (0, 1).
    """
    flat = tuple(name for name, values in scores.items() if np.ptp(values) == 0)
    heads = tuple(name for name in scores if name not in flat)
    if len(heads) < 2:
        raise InputError(
            f"{len(heads)} head(s) tell rows apart, so there is no pair to compare: score at least 2 heads."
        )
    values = np.stack([scores[name] for name in heads]).astype(np.float64)
    size = top_count(values.shape[1], fraction)
    every = np.ones((1, values.shape[1]))
    found_rho, found_overlap = (matrix[0] for matrix in _resampled(values, every, size))
    drawn = [_resampled(values, weights, size) for weights in _weights(values, documents, seed, draws)]
    rho, overlap = (np.concatenate([batch[part] for batch in drawn]) for part in (0, 1))
    chance, judged = size / values.shape[1], [place for place, name in enumerate(heads) if name in roles]
    within = np.ix_(judged, judged)
    return TransferMatrix(
        heads=heads,
        flat=flat,
        spearman=found_rho,
        spearman_low=_end(rho, found_rho, 0.025),
        spearman_high=_end(rho, found_rho, 0.975),
        overlap=found_overlap,
        overlap_low=_end(overlap, found_overlap, 0.025),
        overlap_high=_end(overlap, found_overlap, 0.975),
        chance=chance,
        rows=values.shape[1],
        units=values.shape[1] if documents is None else len(np.unique(documents)),
        contrast=role_contrast(
            [heads[place] for place in judged],
            roles,
            found_overlap[within],
            overlap[:, judged][:, :, judged],
            chance=chance,
            seed=seed,
        ),
    )


def _resampled(
    values: Float64[np.ndarray, "head row"], weights: Float64[np.ndarray, "draw row"], size: int
) -> tuple[Float64[np.ndarray, "draw head head"], Float64[np.ndarray, "draw head head"]]:
    """Spearman and overlap when row r occurs `weights[:, r]` times: ranks and tops are those of each resample."""
    draws, rows = weights.shape
    ranks, top = np.empty((2, draws, len(values), rows))
    for head, scores in enumerate(values):
        order = np.argsort(-scores, kind="stable")
        counted = weights[:, order]
        until = counted.cumsum(1)
        tied = rankdata(-scores[order], method="dense") - 1
        first = np.flatnonzero(np.diff(tied, prepend=-1))
        ends = np.append(first[1:], rows) - 1
        middle = (until[:, ends] + (until - counted)[:, first] + 1) / 2
        ranks[:, head, order] = middle[:, tied]
        top[:, head, order] = np.clip(size * until[:, -1:] / rows - (until - counted), 0, counted)
    root = np.sqrt(weights)[:, None]
    centred = root * (ranks - (weights[:, None] * ranks).sum(2, keepdims=True) / weights.sum(1)[:, None, None])
    shares = top / np.maximum(root, 1e-300)
    return _normalised(centred), _normalised(shares)


def _normalised(rows: Float64[np.ndarray, "draw head row"]) -> Float64[np.ndarray, "draw head head"]:
    """Cosines of all pairs, exactly 1 on the diagonal."""
    length = np.sqrt((rows**2).sum(2, keepdims=True))
    unit = rows / np.maximum(length, 1e-300)
    cosines = np.asarray(unit @ unit.transpose(0, 2, 1))
    place = np.arange(cosines.shape[1])
    cosines[:, place, place] = 1.0
    return np.asarray(np.clip((cosines + cosines.transpose(0, 2, 1)) / 2, -1.0, 1.0))


def _weights(
    values: Float64[np.ndarray, "head row"], documents: Shaped[np.ndarray, " row"] | None, seed: int, draws: int
) -> list[Float64[np.ndarray, "draw row"]]:
    """How often each row occurs in each resample of the documents, in batches that fit."""
    rows = values.shape[1]
    number = np.arange(rows) if documents is None else np.unique(documents, return_inverse=True)[1]
    units = int(number.max()) + 1
    rng = np.random.default_rng(seed)
    size = max(1, _NUMBERS_AT_ONCE // values.size)
    return [
        rng.multinomial(units, np.full(units, 1 / units), size=min(size, draws - start))[:, number].astype(np.float64)
        for start in range(0, draws, size)
    ]


def _end(
    drawn: Float64[np.ndarray, "draw head head"], found: Float64[np.ndarray, "head head"], quantile: float
) -> Float64[np.ndarray, "head head"]:
    """One end of the intervals, which hold the estimate."""
    end = np.quantile(drawn, quantile, axis=0)
    return np.asarray(np.minimum(end, found) if quantile < 0.5 else np.maximum(end, found))
