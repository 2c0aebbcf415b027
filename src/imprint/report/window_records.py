"""What the report says about attribution over a window: records with the fields of `studies`' `WindowFindings`."""

from pydantic import NonNegativeInt

from imprint.report.records import Record


class AgreementRecord(Record):
    """Two rankings of the same rows."""

    subject: str
    """What is compared, such as "probes at step 600"."""
    one: str
    other: str
    spearman: float | None = None
    """None where one ranking gives every row the same score."""
    overlap: float
    """Share of the one's top rows that are in the other's top."""
    chance: float
    p: float
    """One-sided hypergeometric, of the overlap."""


class IntervalRecord(Record):
    """A value with its 95 % interval."""

    estimate: float
    low: float
    high: float


class ContrastRecord(Record):
    """Mean overlap of the tops among induction heads, and between induction and other heads."""

    within: IntervalRecord | None = None
    between: IntervalRecord | None = None
    between_same_layer: IntervalRecord | None = None
    chance: float
    difference: IntervalRecord | None = None
    """Within less between."""
    p: float | None = None
    arrangements: NonNegativeInt = 0
    """Ways to deal the role to the heads of its layers."""
    note: str = ""


class PairRecord(Record):
    """Two heads by one probe; `one` comes before `other` in the order of the heads."""

    one: str
    other: str
    spearman: IntervalRecord
    overlap: IntervalRecord


class TransferRecord(Record):
    """Every pair of heads by one probe."""

    query: str
    heads: tuple[str, ...]
    flat: tuple[str, ...] = ()
    """Heads on which every row has the same score, left out."""
    pairs: tuple[PairRecord, ...]
    chance: float
    documents: NonNegativeInt
    """What the intervals resample."""
    contrast: ContrastRecord


class TimeRecord(Record):
    """Share of the positive influence by time bin, beside the scores permuted over the rows."""

    edges: tuple[NonNegativeInt, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    p: float
    even: bool
    largest_batch: float
    largest_batch_step: NonNegativeInt
    largest_batch_null: float
    magic_batch: bool


class WindowFindingsRecord(Record):
    """How far the influence on one head depends on the probe, the checkpoint and the head, and when its rows were shown."""

    head: str
    steps: tuple[NonNegativeInt, ...]
    main: NonNegativeInt
    rows: NonNegativeInt
    fraction: float
    induction_heads: tuple[str, ...] = ()
    agreements: tuple[AgreementRecord, ...] = ()
    transfer: tuple[TransferRecord, ...] = ()
    time: TimeRecord
