"""`Effect`: a number that never travels alone (interval, number of independent units, unit, control)."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imprint.errors import InputError, SelfCheckFailed

Unit = Literal["condition", "pipeline seed", "document", "item", "task", "token", "head", "run"]
"""What was resampled: the largest thing that was drawn independently (condition > pipeline seed > document > token)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """An estimate in the units of `metric`, with its interval. Positive: the treatment raised the metric.

    Every field is a finite number or a word, so an effect always survives JSON: `Effect(**effect.as_dict())` is
    the same effect. A single unit has no interval, so `n` below 2 is refused. An interval of zero width is allowed
    (all units agreed exactly) and says so in `note`.

    Raises:
        InputError: `n` is below 2.
        SelfCheckFailed: a number is not finite, the interval is upside down, or `level` is outside (0, 1).
    """

    estimate: float
    low: float
    """Lower end of the interval at `level`."""
    high: float
    n: int
    """Number of independent units."""
    unit: Unit
    control: str
    """What the other arm was, or the value that chance would give."""
    metric: str = ""
    level: float = 0.95
    note: str = ""
    """What a reader must know before trusting the interval; empty when there is nothing."""

    def __post_init__(self) -> None:
        """Refuse what could not be reported honestly."""
        name = self.metric or "this effect"
        if self.n < 2:
            raise InputError(f"n={self.n} {self.unit} for {name} leaves no interval: give at least 2, better 5.")
        if not all(map(math.isfinite, (self.estimate, self.low, self.high))):
            raise SelfCheckFailed(
                f"estimate={self.estimate} in [{self.low}, {self.high}] for {name} is not finite: "
                "look for a diverged run or a division by zero upstream."
            )
        if self.low > self.high:
            raise SelfCheckFailed(f"The interval [{self.low}, {self.high}] of {name} is upside down: swap its ends.")
        if not 0 < self.level < 1:
            raise SelfCheckFailed(f"level={self.level} of {name} must lie strictly between 0 and 1, as 0.95 does.")

    @property
    def excludes_zero(self) -> bool:
        """True when the interval lies wholly on one side of zero. For AUC or a share use `excludes(chance)`."""
        return self.excludes(0.0)

    @property
    def has_width(self) -> bool:
        """False when all units agreed exactly, so that the interval says nothing about uncertainty."""
        return self.low < self.high

    def excludes(self, value: float) -> bool:
        """True when the interval lies wholly on one side of `value` (chance level, threshold)."""
        return self.low > value or self.high < value

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)
