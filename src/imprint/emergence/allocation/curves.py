"""The curves that an arm may follow: a floor at chance, a rise, a ceiling, over progress that size and data drive together.

score = floor + ceiling · sigmoid((progress − midpoint) / width). Progress is a law of tokens and parameters, scaled so that over
the world's own arms it runs from 0 to 1 (which needs their sizes and lengths, not their scores).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm

Law = Callable[[Arm], Float[np.ndarray, " depth"]]


def loss_law(arm: Arm) -> Float[np.ndarray, " depth"]:
    """Progress as reducible loss: −log10(A/N^α + B/D^β), constants of Besiroglu et al. 2024 (2404.10102), table 1.

    Size bounds what data can reach: the only law here under which a small arm levels off below a large one.
    """
    assert arm.size is not None
    return np.asarray(-np.log10(482.01 * arm.size**-0.3478 + 2085.43 * arm.exposure**-0.3658))


def product_law(size_exponent: float) -> Law:
    """Progress as log10(D · N^κ)."""

    def law(arm: Arm) -> Float[np.ndarray, " depth"]:
        return np.asarray(np.log10(arm.exposure) + size_exponent * np.log10(arm.size or 1.0))

    return law


def laws_for(arms: Sequence[Arm]) -> list[Law]:
    """The laws that tell these arms apart: those of size only where sizes are known and differ."""
    sizes = {arm.size for arm in arms}
    if None in sizes or len(sizes) == 1:
        return [product_law(0.0)]
    return [loss_law, product_law(0.5), product_law(1.0)]


def scaled_progress(arms: Sequence[Arm], law: Law) -> list[Float[np.ndarray, " depth"]]:
    """The law's progress of every arm, 0 at the world's least and 1 at its greatest."""
    raw = [law(arm) for arm in arms]
    low, high = min(values.min() for values in raw), max(values.max() for values in raw)
    return [(values - low) / max(high - low, 1e-12) for values in raw]


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Every combination of law, floor, width, ceiling and midpoint that the posterior weighs."""

    floors: tuple[float, ...] = (-0.05, 0.0, 0.05)
    """Scores before any rise (answers of an untrained model are not always at chance), at most half the target."""
    widths: tuple[float, ...] = (0.06, 0.12, 0.25, 0.5)
    ceiling_ratios: tuple[float, ...] = (0.12, 0.2, 0.33, 0.55, 0.8, 1.1, 1.5, 2.2, 3.3)
    """Heights of the rise as multiples of the target: what is asked is always whether a curve gets there."""
    midpoint_low: float = -0.5
    midpoint_high: float = 2.0
    midpoint_gap: float = 0.1

    @property
    def midpoints(self) -> Float[np.ndarray, " midpoint"]:
        """The midpoints, evenly spaced."""
        count = round((self.midpoint_high - self.midpoint_low) / self.midpoint_gap) + 1
        return np.linspace(self.midpoint_low, self.midpoint_high, count)

    def curves(
        self, progress: Float[np.ndarray, "law depth"], target: float
    ) -> Float[np.ndarray, "shape ceiling midpoint depth"]:
        """The score at each checkpoint of an arm under every combination; a shape is a law, a floor and a width."""
        widths, ceilings = np.array(self.widths), np.minimum(np.array(self.ceiling_ratios) * target, 1.0)
        floors = np.clip(self.floors, -0.5 * target, 0.5 * target)
        distance = (progress[:, None, None, :] - self.midpoints[None, None, :, None]) / widths[None, :, None, None]
        rise = 1.0 / (1.0 + np.exp(-np.clip(distance, -40, 40)))
        scores = floors[None, :, None, None, None, None] + ceilings[:, None, None] * rise[:, None, :, None]
        return np.asarray(scores.reshape(-1, len(ceilings), *scores.shape[-2:]))
