"""The curves that an arm may follow: a floor at chance, a rise, a ceiling, over progress that size and data drive together.

score = floor + ceiling · (size / largest)^γ · sigmoid((progress − midpoint) / width). Progress is a law of tokens and parameters,
scaled so that over the arms of a span it runs from 0 to 1 (which needs their sizes and lengths, not their scores).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm


@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """How tokens and parameters drive progress, and how size alone bounds what progress leads to."""

    name: str
    progress: Callable[[Arm], Float[np.ndarray, " depth"]]
    ceiling_exponent: float = 0.0
    """γ: an arm's ceiling grows with its size to this power."""


def loss_progress(arm: Arm) -> Float[np.ndarray, " depth"]:
    """Progress as reducible loss: −log10(A/N^α + B/D^β), constants of Besiroglu et al. 2024 (2404.10102), table 1.

    Size bounds what data can reach: the only progress here under which a small arm levels off below a large one.
    """
    assert arm.size is not None
    return np.asarray(-np.log10(482.01 * arm.size**-0.3478 + 2085.43 * arm.exposure**-0.3658))


def product_law(size_exponent: float, ceiling_exponent: float = 0.0) -> Law:
    """Progress as log10(D · N^κ)."""

    def progress(arm: Arm) -> Float[np.ndarray, " depth"]:
        return np.asarray(np.log10(arm.exposure) + size_exponent * np.log10(arm.size or 1.0))

    return Law(name=f"tokens * size^{size_exponent:g}", progress=progress, ceiling_exponent=ceiling_exponent)


LOSS_LAW = Law(name="loss", progress=loss_progress)
PLAIN_LAWS = (LOSS_LAW, product_law(0.5), product_law(1.0))
"""The laws that are believed alike before anything is learned."""
CEILING_LAWS = (
    product_law(0.0, 0.15),
    product_law(0.0, 0.3),
    product_law(0.25, 0.15),
    product_law(0.5, 0.15),
    Law(name="loss", progress=loss_progress, ceiling_exponent=0.15),
)
"""Laws under which size sets how high a curve ends: weighed only where a history of other tasks speaks for them."""


def laws_for(arms: Sequence[Arm], sized: Sequence[Law] = PLAIN_LAWS) -> list[Law]:
    """The laws that tell these arms apart: `sized` only where sizes are known and differ."""
    sizes = {arm.size for arm in arms}
    if None in sizes or len(sizes) == 1:
        return [product_law(0.0)]
    return list(sized)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The least and the greatest progress of some arms under every law, and their largest size."""

    laws: tuple[Law, ...]
    low: Float[np.ndarray, " law"]
    high: Float[np.ndarray, " law"]
    largest: float

    def progress(self, arm: Arm) -> Float[np.ndarray, "law depth"]:
        """An arm's progress under every law: 0 at the span's least and 1 at its greatest."""
        raw = np.stack([law.progress(arm) for law in self.laws])
        return np.asarray((raw - self.low[:, None]) / np.maximum(self.high - self.low, 1e-12)[:, None])

    def lift(self, arm: Arm) -> Float[np.ndarray, " law"]:
        """An arm's ceiling under every law, as a share of the largest arm's."""
        share = 1.0 if arm.size is None else arm.size / self.largest
        return np.array([share**law.ceiling_exponent for law in self.laws])


def span_of(arms: Sequence[Arm], laws: Sequence[Law]) -> Span:
    """The span of these arms."""
    raw = [[law.progress(arm) for arm in arms] for law in laws]
    return Span(
        laws=tuple(laws),
        low=np.array([min(values.min() for values in one) for one in raw]),
        high=np.array([max(values.max() for values in one) for one in raw]),
        largest=max((arm.size for arm in arms if arm.size is not None), default=1.0),
    )


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
        self, progress: Float[np.ndarray, "law depth"], target: float, lift: Float[np.ndarray, " law"] | None = None
    ) -> Float[np.ndarray, "shape ceiling midpoint depth"]:
        """The score at each checkpoint of an arm under every combination; a shape is a law, a floor and a width."""
        widths, ceilings = np.array(self.widths), np.minimum(np.array(self.ceiling_ratios) * target, 1.0)
        heights = ceilings[None, :] * (np.ones(len(progress)) if lift is None else lift)[:, None]
        floors = np.clip(self.floors, -0.5 * target, 0.5 * target)
        distance = (progress[:, None, None, :] - self.midpoints[None, None, :, None]) / widths[None, :, None, None]
        rise = 1.0 / (1.0 + np.exp(-np.clip(distance, -40, 40)))
        risen = heights[:, None, None, :, None, None] * rise[:, None, :, None]
        scores = floors[None, :, None, None, None, None] + risen
        return np.asarray(scores.reshape(-1, len(ceilings), *scores.shape[-2:]))
