"""Low-rank directions that separate checkpoints, or conditions of several checkpoints, each with its permutation null."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import CorpusError
from imprint.mechanisms.moments import ledoit_wolf, moments, whitener

_TIE = 1e-12
Shuffle = Callable[[np.ndarray], np.ndarray]
"""Rows to the group means of one shuffle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparatingDirections:
    """Directions along which the means of checkpoints (or conditions) lie apart, widest first."""

    unit: Literal["prompt", "checkpoint"]
    """What the null shuffles: checkpoints within each prompt, or whole checkpoints over conditions."""
    basis: Float[np.ndarray, "rank d"]
    """Unit vectors in activation space, orthogonal unless whitened; the group farthest from the middle is positive."""
    scores: Float[np.ndarray, "group rank"]
    """Where the mean of each checkpoint or condition lies, less the mean of all; their sign has no meaning of its own."""
    shares: Float[np.ndarray, "rank"]
    """Of the variance between group means; they sum to 1 over all directions that there are."""
    between: float
    """The share of the variance (prompts taken out) that lies between groups: 0 = equal checkpoints, 1 = nothing else."""
    p: float
    """For `between`, (b+1)/(draws+1)."""
    null_95: float
    p_first: float
    """For the variance along the first direction, found anew in every shuffle."""


def checkpoint_directions(
    states: Float[np.ndarray, "checkpoint prompt d"],
    *,
    rank: int | None = None,
    whiten: bool = False,
    draws: int = 499,
    seed: int = 0,
) -> SeparatingDirections:
    """Principal directions of the checkpoints' means over the same prompts (with `whiten`: linear discriminants).

    The null shuffles the checkpoints within every prompt. Whitened by the Ledoit-Wolf covariance of all states about
    their prompt's mean, which shuffling leaves as it is. Checkpoints that are equal have no direction (rank 0), p = 1.

    Raises:
        CorpusError: fewer than 2 checkpoints or 2 prompts.
        SelfCheckFailed: a state is not finite.

    Trust: any two training runs differ, so a small p is the rule and says nothing about their conditions: for that give
    several checkpoints a condition to `condition_directions`.
    """
    count, prompts, _ = states.shape
    if count < 2 or prompts < 2:
        raise CorpusError(
            f"{count} checkpoint(s) on {prompts} prompt(s) have nothing to separate: give 2 of each at least."
        )
    rows = _deviations(states.astype(np.float64))
    rng = np.random.default_rng(seed)
    order = np.tile(np.arange(count), (prompts, 1))
    column = np.arange(prompts)

    def shuffled(flat: np.ndarray) -> np.ndarray:
        cube = flat.reshape(count, prompts, -1)
        return np.asarray(cube[rng.permuted(order, axis=1).T, column].mean(1))

    flat = rows.reshape(count * prompts, -1)
    weights = np.full(count, float(prompts))
    return _directions(flat, np.repeat(np.arange(count), prompts), weights, shuffled, "prompt", rank, whiten, draws)


def condition_directions(
    states: Float[np.ndarray, "checkpoint prompt d"],
    conditions: Int[np.ndarray, "checkpoint"],
    *,
    rank: int | None = None,
    draws: int = 499,
    seed: int = 0,
) -> SeparatingDirections:
    """Principal directions of the conditions' means, each checkpoint (pipeline) counted once as its mean over prompts.

    The null shuffles whole checkpoints over conditions, so that what every training run has of its own is not taken for
    the condition. `scores` are in order of the condition's number.

    Raises:
        CorpusError: one condition, or no condition with 2 checkpoints.
        SelfCheckFailed: a state is not finite.

    Trust: checkpoints must be pipelines of their own; last-stage seeds of one pipeline are not.
    """
    _, place, sizes = np.unique(conditions, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    if len(conditions) != len(states) or len(sizes) < 2 or sizes.max() < 2:
        raise CorpusError(
            f"{len(states)} checkpoints of conditions {conditions.tolist()}: give at least 2 conditions and 2 pipelines."
        )
    rows = states.astype(np.float64).mean(1)
    rng = np.random.default_rng(seed)
    return _directions(
        _deviations(rows),
        place,
        sizes.astype(np.float64),
        lambda flat: _means(flat[rng.permutation(len(flat))], place, sizes),
        "checkpoint",
        rank,
        False,
        draws,
    )


def _directions(
    rows: Float[np.ndarray, "row d"],
    group: Int[np.ndarray, "row"],
    sizes: Float[np.ndarray, "group"],
    shuffled: Shuffle,
    unit: Literal["prompt", "checkpoint"],
    rank: int | None,
    whiten: bool,
    draws: int,
) -> SeparatingDirections:
    varies = bool(np.abs(rows).max() > 0)
    whitening = whitener(ledoit_wolf(moments(rows))[0]) if whiten and varies else None
    seen = rows if whitening is None else rows @ whitening.T
    means = _means(seen, group, sizes)
    _, spread, vectors = np.linalg.svd(np.sqrt(sizes)[:, None] * means, full_matrices=False)
    kept = spread > 1e-10 * max(spread.max(initial=0.0), np.linalg.norm(seen))
    total = float(np.square(seen).sum())
    null = _null(seen, sizes, shuffled, draws)
    between, first = float(np.square(spread).sum()), float(np.square(spread).max(initial=0.0))
    read = vectors[kept] if whitening is None else vectors[kept] @ whitening
    read = read / np.linalg.norm(read, axis=1, keepdims=True)
    scores = _means(rows, group, sizes) @ read.T
    turn = np.sign(scores[np.abs(scores).argmax(0), np.arange(len(read))]) if len(read) else np.ones(0)
    return SeparatingDirections(
        unit=unit,
        basis=(read * turn[:, None])[:rank],
        scores=(scores * turn)[:, :rank],
        shares=(np.square(spread[kept]) / between if between > 0 else np.zeros(0))[:rank],
        between=between / total if total > 0 else 0.0,
        p=_tail(null[:, 0], between),
        null_95=float(np.quantile(null[:, 0], 0.95)) / total if total > 0 else 0.0,
        p_first=_tail(null[:, 1], first),
    )


def _deviations(values: Float[np.ndarray, "checkpoint *rest"]) -> Float[np.ndarray, "checkpoint *rest"]:
    """From the mean over checkpoints; exactly 0 where they agree."""
    return np.asarray(np.where(np.ptp(values, axis=0) == 0, 0.0, values - values.mean(0)))


def _null(
    rows: Float[np.ndarray, "row d"], sizes: Float[np.ndarray, "group"], shuffled: Shuffle, draws: int
) -> Float[np.ndarray, "draw 2"]:
    """Between-group sum of squares, in all and along the first direction, of shuffled groups."""
    left, spread, _ = np.linalg.svd(rows, full_matrices=False)
    turned = left * spread
    weighted = [np.sqrt(sizes)[:, None] * shuffled(turned) for _ in range(draws)]
    values = np.square([np.linalg.svd(means, compute_uv=False) for means in weighted])
    return np.stack([values.sum(1), values.max(1)], 1)


def _means(
    rows: Float[np.ndarray, "row d"], group: Int[np.ndarray, "row"], sizes: np.ndarray
) -> Float[np.ndarray, "group d"]:
    totals = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(totals, group, rows)
    return np.asarray(totals / np.bincount(group, minlength=len(sizes))[:, None])


def _tail(null: Float[np.ndarray, "draw"], seen: float) -> float:
    return (int((null >= seen * (1 - _TIE)).sum()) + 1) / (len(null) + 1)
