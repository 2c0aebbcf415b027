"""The leakage guard: nothing beyond a question's origin may reach its features, and it is checked by changing the future."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from imprint.emergence.trajectories.curves import Curve
from imprint.errors import ImprintError


class LeakageError(ImprintError):
    """A feature saw scores from beyond the origin of its question."""


def require_past(curve: Curve, origin: float) -> None:
    """Refuse a curve with points beyond the origin (log10).

    Raises:
        LeakageError: the curve goes on after the origin.
    """
    if len(curve) and curve.x[-1] > origin + 1e-9:
        raise LeakageError(
            f"'{curve.task}' of {curve.line}: a score at 10^{curve.x[-1]:.2f} reached the features of a question whose "
            f"origin is 10^{origin:.2f}; cut the curve at the origin"
        )


def audit(
    extract: Callable[[Sequence[Curve], int, int], Float[np.ndarray, "feature"]],
    curves: Sequence[Curve],
    *,
    checks: int = 8,
    seed: int = 0,
) -> None:
    """Extract features twice, the second time with other scores in the future, and compare.

    `extract(curves, index, count)` gives the features of the question about curve number `index` after `count` points. The
    futures of the curve and of all its kin are exchanged; along tokens also those of larger models.

    Raises:
        LeakageError: a feature changed.
    """
    generator = np.random.default_rng(seed)
    long = [index for index, curve in enumerate(curves) if len(curve) > 1]
    for index in generator.permutation(long)[:checks]:
        count = int(generator.integers(1, len(curves[index])))
        origin = float(curves[index].x[count - 1])
        changed = [_other_future(curve, curves[index], origin, generator) for curve in curves]
        before, after = extract(curves, int(index), count), extract(changed, int(index), count)
        if not np.array_equal(before, after, equal_nan=True):
            place = int(np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))[0])
            raise LeakageError(
                f"feature number {place} of '{curves[index].task}' changed when only scores beyond its origin "
                f"(10^{origin:.2f}) were changed; it looks into the future"
            )


def _other_future(curve: Curve, asked: Curve, origin: float, generator: np.random.Generator) -> Curve:
    larger = curve.axis == "tokens" and curve.size > asked.size
    if curve.kin != asked.kin and not larger:
        return curve
    count = int(np.searchsorted(curve.x, origin + 1e-9, side="right"))
    if count == len(curve):
        return curve
    z = curve.z.copy()
    z[count:] = generator.uniform(0.2, 1.0, len(z) - count)
    emerged = curve.emerged.copy()
    emerged[count:] = z[count:] >= curve.threshold[count:]
    return replace(curve, z=z, emerged=emerged, se=np.where(np.arange(len(z)) < count, curve.se, 2 * curve.se))
