"""What to say where nothing of the curve is known: how often abilities that were not there before are there at such a scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.emergence.trajectories.curves import Curve

WIDTH = 0.4
"""Decades."""
SAME_TASK, SAME_FAMILY, ANY = 1.0, 0.1, 0.02
PRIOR_POINTS = 1.0


@dataclass(frozen=True, kw_only=True)
class Frequencies:
    """Every point of a history along one axis: scale, state, task and family."""

    x: Float[np.ndarray, "point"]
    emerged: Float[np.ndarray, "point"]
    task: np.ndarray
    family: np.ndarray

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> "Frequencies":
        """Of all curves."""
        return cls(
            x=np.concatenate([curve.x for curve in curves]),
            emerged=np.concatenate([curve.emerged.astype(float) for curve in curves]),
            task=np.concatenate([np.full(len(curve), curve.task, dtype=object) for curve in curves]),
            family=np.concatenate([np.full(len(curve), curve.family, dtype=object) for curve in curves]),
        )

    def at(self, *, task: str, family: str, horizon: float) -> tuple[float, float, float]:
        """Probability and 95 % interval: points near the scale, those of the task and family counting more.

        Trust: it knows nothing of the curve itself; it stands where the answer is "abstain".
        """
        near = np.exp(-0.5 * ((self.x - horizon) / WIDTH) ** 2) + 1e-6
        kin = np.where(self.task == task, SAME_TASK, np.where(self.family == family, SAME_FAMILY, ANY))
        weight = near * kin
        general = float(self.emerged.mean())
        total = float(weight.sum())
        p = (float(weight @ self.emerged) + PRIOR_POINTS * general) / (total + PRIOR_POINTS)
        spread = 1.96 * float(np.sqrt(p * (1 - p) / (min(total, 20.0) + PRIOR_POINTS)))
        return p, max(p - spread, 0.0), min(p + spread, 1.0)
