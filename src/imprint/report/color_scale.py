"""Colour scales in equal steps, as CSS variables, so that dark mode and print need no second drawing."""

from collections.abc import Sequence
from dataclasses import dataclass

LEVELS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorScale:
    """Equal steps from low to high; `name` is the family of CSS variables: "seq" from zero, "div" around it."""

    low: float
    high: float
    name: str

    @staticmethod
    def of(values: Sequence[float]) -> "ColorScale":
        """From 0 to the largest value, or symmetric around 0 when some value is negative."""
        signed = any(value < 0 for value in values)
        return ColorScale.around_zero(values) if signed else ColorScale(low=0.0, high=_size(values), name="seq")

    @staticmethod
    def around_zero(values: Sequence[float]) -> "ColorScale":
        """Symmetric around 0, whatever the signs: orange below, blue above, paper in the middle."""
        return ColorScale(low=-_size(values), high=_size(values), name="div")

    @property
    def colors(self) -> tuple[str, ...]:
        """The CSS colours from low to high."""
        return tuple(f"var(--{self.name}-{level})" for level in range(LEVELS))

    def level(self, value: float) -> int:
        """The step that a value falls on."""
        return min(LEVELS - 1, int((value - self.low) / (self.high - self.low) * LEVELS))


def _size(values: Sequence[float]) -> float:
    """The largest size of a value; 1 when there is none to scale by."""
    return max((abs(value) for value in values), default=0.0) or 1.0
