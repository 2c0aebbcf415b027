"""`Undefined`: a number that does not exist, and why."""

from dataclasses import dataclass

from imprint.stats.effects import Effect


@dataclass(frozen=True, kw_only=True, slots=True)
class Undefined:
    """What stands where a number cannot: a ratio to nothing, a half effect of no effect. Never NaN, never infinity."""

    reason: str
    """One sentence for the reader of a report."""

    def as_dict(self) -> dict[str, str]:
        """Ready for JSON, beside `Effect.as_dict`."""
        return {"undefined": self.reason}


Estimate = Effect | Undefined
"""An estimate with its interval, or the reason why there is none."""
