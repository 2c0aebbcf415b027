"""What the report shows of a mechanism study's further arms: doses, sizes, synthetic text, the link to in-context learning."""

from pydantic import NonNegativeInt

from imprint.report.records import EffectRecord, Record


class DoseRecord(Record):
    """One kind of edit at one share of the documents: the shift of emergence and of the final strength against random rows."""

    edit: str
    fraction: float
    documents: NonNegativeInt
    delay: EffectRecord
    """Log steps; positive = later."""
    strength: EffectRecord
    control: str
    """The arm that it is compared with."""
    control_delay: EffectRecord | None = None
    """That of as many random documents against the untouched runs; None where those are the control."""
    note: str = ""


class SizeRecord(Record):
    """What was found at one size of the model."""

    name: str
    parameters: NonNegativeInt
    head: str
    transition: NonNegativeInt
    strength: float
    shared_top: float
    """Share of its highest-ranked documents that the smallest model ranks highest too."""
    chance: float
    cost_seconds: float | None = None
    delay: EffectRecord | None = None
    control_delay: EffectRecord | None = None
    notes: tuple[str, ...] = ()
    """Runs that ended before emergence, which make shifts of this size bounds."""
    smallest_delay: EffectRecord | None = None
    """Delay by deleting the documents that the smallest model ranks highest; None at the smallest size itself."""


class GainRecord(Record):
    """Relative gain in strength of one synthetic arm at one size and moment."""

    size: str
    arm: str
    moment: str
    step: NonNegativeInt
    gain: EffectRecord | None = None
    reason: str = ""
    """Why there is no gain."""


class SizesRecord(Record):
    """The same edits at several sizes."""

    sizes: tuple[SizeRecord, ...] = ()
    cost_exponent: EffectRecord | None = None
    cost_reason: str = ""
    published: tuple[tuple[str, float], ...] = ()
    """Relative gains that the source reports, by its models' names."""
    published_own: float | None = None


class IclRecord(Record):
    """Correlation of induction strength with one in-context-learning score over the runs of all arms."""

    metric: str
    runs: NonNegativeInt
    correlation: EffectRecord | None = None
    within_arms: EffectRecord | None = None


class WrittenRecord(Record):
    """A few of the synthetic documents of one arm, and the motifs behind them as JSON."""

    arm: str
    motifs: str = ""
    examples: tuple[str, ...] = ()
