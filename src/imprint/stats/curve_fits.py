"""Least squares for curves that are linear once a few shape parameters are fixed: every candidate shape is tried.

No starting values, no failed fits, and all bootstrap resamples of a curve are fitted in one product.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from imprint.errors import InputError
from imprint.stats.samples import require_sample

_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The best candidate shape of each curve, its linear coefficients and its residual sum of squares."""

    candidate: Int[np.ndarray, " curve"]
    coefficients: Float64[np.ndarray, "curve parameter"]
    residual: Float64[np.ndarray, " curve"]


def best_shapes(
    bases: Float64[np.ndarray, "candidate dose parameter"], curves: Float64[np.ndarray, "curve dose"]
) -> Profile:
    """For every curve the candidate whose columns explain most of it; the first one of equals."""
    left, sizes, _ = np.linalg.svd(bases, full_matrices=False)
    left = left * (sizes > 1e-9 * sizes[:, :1])[:, None, :]
    block = max(1, _NUMBERS_AT_ONCE // (len(bases) * bases.shape[2]))
    parts = []
    for start in range(0, len(curves), block):
        projected = np.einsum("gdp,bd->gbp", left, curves[start : start + block])
        parts.append((projected**2).sum(-1))
    explained = np.concatenate(parts, axis=1)
    # Explained sums equal up to rounding are ties.
    best = np.argmax(explained >= explained.max(0) - 1e-10 * (curves**2).sum(1), axis=0)
    solved = np.linalg.pinv(bases)[best]
    residual = (curves**2).sum(1) - explained[best, np.arange(len(curves))]
    return Profile(
        candidate=best,
        coefficients=np.einsum("bpd,bd->bp", solved, curves),
        residual=np.maximum(residual, 0.0),
    )


def sigmoid(
    doses: Float64[np.ndarray, " dose"],
    middles: Float64[np.ndarray, " candidate"],
    hills: Float64[np.ndarray, " candidate"],
) -> Float64[np.ndarray, "candidate dose"]:
    """dose^hill / (dose^hill + middle^hill): 0 at dose 0, one half at the middle, 1 far beyond."""
    with np.errstate(divide="ignore"):
        logs = np.log(doses)[None, :] - np.log(middles)[:, None]
    return np.asarray(1 / (1 + np.exp(np.clip(-hills[:, None] * logs, -700, 700))))


def sorted_doses(
    doses: Float64[np.ndarray, " dose"], values: Float64[np.ndarray, "row item"], *, at_least: int
) -> tuple[Float64[np.ndarray, " dose"], Float64[np.ndarray, "dose item"]]:
    """Doses in ascending order, with their items.

    Raises:
        InputError: too few doses, a dose is negative or given twice, or a row is missing.
        SelfCheckFailed: a value or dose is not finite.
    """
    require_sample(doses, at_least=at_least, name="the list of doses")
    if len(values) != len(doses):
        raise InputError(f"{len(doses)} doses but {len(values)} rows of items: give one row a dose.")
    require_sample(values, at_least=2 * at_least, name="the items")
    order = np.argsort(doses)
    ascending = doses[order]
    if ascending[0] < 0 or (np.diff(ascending) == 0).any():
        raise InputError(f"doses {ascending.tolist()} must be 0 or more and all different: average repeats first.")
    return ascending, values[order]
