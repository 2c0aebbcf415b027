"""When in training the influential rows were shown: spread evenly, or in a few batches?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped

from imprint.errors import InputError

DRAWS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeBins:
    """Share of the positive influence that was shown in each time bin and in the largest batch, beside a null.

    The null permutes the scores over the rows and leaves the stream as it is: what bins hold if influence does not
    depend on when a row is shown.
    """

    edges: tuple[int, ...]
    """Steps [edges[i], edges[i + 1]) are bin i."""
    shares: tuple[float, ...]
    """Add up to 1."""
    low: tuple[float, ...]
    """2.5 % quantile of the null, bin by bin."""
    high: tuple[float, ...]
    """97.5 % quantile of the null, bin by bin."""
    p: float
    """Of all bins together: squared distance from the null's mean in units of its variance, against the null."""
    largest_batch: float
    """Share of the influence in the one step that holds most of it."""
    largest_batch_step: int
    largest_batch_null: float
    """95 % quantile of the largest batch's share under the null."""
    presentations: int
    """Rows shown in the window, each time counted."""

    @property
    def even(self) -> bool:
        """Whether the bins together do not differ from the null at the 5 % level."""
        return self.p > 0.05

    @property
    def magic_batch(self) -> bool:
        """Whether one batch holds more than the largest batch of 95 % of the permutations."""
        return self.largest_batch > self.largest_batch_null


def time_bins(
    scores: Float[np.ndarray, " row"],
    shown: Shaped[np.ndarray, "step batch"],
    *,
    first: int,
    last: int,
    bins: int = 10,
    weights: Float[np.ndarray, "step batch"] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> TimeBins:
    """The positive influence of the rows shown in steps [first, last), by time bin, against permuted scores.

    `shown` are a stream's rows; with its `weights`, what was shown with weight 0 does not count. Trust: scores are those
    of one checkpoint (or a window's sum), so this says when the influential rows were *shown*, not when they worked; a
    shuffled stream is even by construction, and an even result says that no batch was special, not that order is
    irrelevant.

    Raises:
        InputError: a window outside the stream, more bins than steps, or no positive influence in it.
    """
    if not 0 <= first < last <= len(shown):
        raise InputError(f"steps {first} to {last} do not lie in a stream of {len(shown)} steps: correct the window.")
    if not 1 <= bins <= last - first:
        raise InputError(f"{bins} bins do not fit into {last - first} steps: give fewer.")
    if int(shown.max()) >= len(scores):
        raise InputError(f"the stream shows row {int(shown.max())} but there are scores of {len(scores)} rows only.")
    rows = shown[first:last].astype(np.int64)
    seen = np.ones(rows.shape) if weights is None else (weights[first:last] > 0).astype(np.float64)
    edges = np.linspace(0, last - first, bins + 1).round().astype(np.int64)
    positive = np.clip(scores.astype(np.float64), 0, None)
    found = _by_step(positive, rows, seen)
    rng = np.random.default_rng(seed)
    null = [_by_step(rng.permutation(positive), rows, seen) for _ in range(draws)]
    shares = _by_bin(found, edges)
    binned = np.array([_by_bin(steps, edges) for steps in null])
    largest = int(found.argmax())
    return TimeBins(
        edges=tuple((edges + first).tolist()),
        shares=tuple(shares.tolist()),
        low=tuple(np.quantile(binned, 0.025, axis=0).tolist()),
        high=tuple(np.quantile(binned, 0.975, axis=0).tolist()),
        p=_exceeded(shares, binned),
        largest_batch=float(found[largest]),
        largest_batch_step=largest + first,
        largest_batch_null=float(np.quantile([steps.max() for steps in null], 0.95)),
        presentations=int(seen.sum()),
    )


def _by_step(
    positive: Float64[np.ndarray, " row"], rows: Int[np.ndarray, "step batch"], seen: Float64[np.ndarray, "step batch"]
) -> Float64[np.ndarray, " step"]:
    """Each step's share of the positive influence."""
    mass = (positive[rows] * seen).sum(1)
    if mass.sum() <= 0:
        raise InputError("no row with positive influence is shown in the window: give a longer one.")
    return np.asarray(mass / mass.sum())


def _by_bin(steps: Float64[np.ndarray, " step"], edges: Int[np.ndarray, " edge"]) -> Float64[np.ndarray, " bin"]:
    return np.add.reduceat(steps, edges[:-1])


def _exceeded(shares: Float64[np.ndarray, " bin"], null: Float64[np.ndarray, "draw bin"]) -> float:
    """Permutation p of the whole profile, the data counted as one of the draws."""
    mean, spread = null.mean(0), np.maximum(null.var(0), 1e-24)

    def distance(profile: Float64[np.ndarray, "*draw bin"]) -> Float64[np.ndarray, "*draw"]:
        return np.asarray(((profile - mean) ** 2 / spread).sum(-1))

    return float((1 + (distance(null) >= distance(shares) - 1e-12).sum()) / (len(null) + 1))
