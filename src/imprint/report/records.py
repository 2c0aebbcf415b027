"""What every record of a report has in common, and the one record that all the others hold: a number with its interval."""

from pydantic import BaseModel, ConfigDict, NonNegativeInt


class Record(BaseModel):
    """The base of every record: frozen, no unknown keys, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EffectRecord(Record):
    """A difference with its interval, in the units of `metric`. Positive: the intervention raised the metric."""

    estimate: float
    low: float | None = None
    """Lower end of the interval at `level`; None when no interval was computed."""
    high: float | None = None
    n: NonNegativeInt = 0
    """Independent units behind the interval."""
    unit: str = ""
    """What was resampled: pipeline seed, document, item, token, head, run."""
    control: str = ""
    """What the other arm was."""
    metric: str = ""
    level: float = 0.95
    note: str = ""
    """What a reader must know before trusting the interval."""
