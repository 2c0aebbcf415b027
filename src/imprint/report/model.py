"""What a report shows, as plain frozen data: `ReportData` and its records, which cross a file boundary as JSON.

Every record refuses unknown keys, NaN and infinity; None means "not measured" and is shown as such, never as 0.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, ValidationError

from imprint.errors import ConfigError, OutputError
from imprint.report.character_records import CharacterRecord
from imprint.report.emergence_records import EmergenceRecord
from imprint.report.influence_records import InfluenceRecord
from imprint.report.mechanism_records import CircuitRecord, ScoredMechanismRecord
from imprint.report.records import EffectRecord as EffectRecord
from imprint.report.records import Record as Record
from imprint.report.study_records import DoseRecord, GainRecord, IclRecord, SizesRecord, WrittenRecord
from imprint.report.susceptibility_records import SusceptibilityRecord
from imprint.report.window_records import WindowFindingsRecord
from imprint.runs.files import write_json


class EvidenceRecord(Record):
    """One experiment on one rung (0..5) of the evidence ladder: `stats.claims.Evidence.as_dict()`."""

    rung: Annotated[int, Field(ge=0, le=5)]
    name: str
    effect: EffectRecord | None = None
    passed: bool | None = None
    """Whether it shows what the rung asks; None when no verdict was drawn (never counted as shown)."""
    note: str = ""
    null: str = ""
    """The null it was compared with, in words."""
    trust: str = ""
    """Assumptions and failure modes of the method, in words."""
    rung_name: str = ""


class ClaimRecord(Record):
    """Data `data` gave `capability` through `mechanism`, and the rung it stands on: `stats.claims.Claim.as_dict()`."""

    data: str
    mechanism: str
    capability: str
    rung: Annotated[int, Field(ge=0, le=5)] | None = None
    """0 associated, 1 localised, 2 necessary, 3 sufficient, 4 data-causal, 5 replicated; None: nothing shown."""
    rung_name: str | None = None
    shown: tuple[int, ...] = ()
    """Every rung whose evidence all passed, also above a gap."""
    blocked_by: str = ""
    """What keeps the claim from the next rung."""
    evidence: tuple[EvidenceRecord, ...] = ()


class HypothesisRecord(Record):
    """A hypothesis as registered before the run, and its verdict: `stats.hypotheses.Verdict.as_dict()`."""

    id: str
    statement: str
    metric: str
    threshold: float
    direction: str = ""
    """Where the statistic must lie for support: greater, less, or absolute-less than the threshold."""
    test: str = ""
    alpha: float | None = None
    verdict: Literal["supported", "refuted", "inconclusive", "not examined"]
    statistic: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    power: float | None = None
    n: NonNegativeInt | None = None
    unit: str = ""
    reason: str = ""


class TrajectoryPoint(Record):
    """The value of one metric at one training step of one run."""

    arm: str
    seed: int
    step: NonNegativeInt
    metric: str
    value: float


class OnsetRecord(Record):
    """When a metric crossed its emergence threshold in one run; step None: it never did."""

    arm: str
    seed: int
    step: NonNegativeFloat | None
    metric: str = ""
    """The metric whose chart carries the marker; empty: every chart."""


class WindowRecord(Record):
    """A span of training steps that is shaded on every trajectory, such as the intervention window."""

    start: NonNegativeFloat
    end: NonNegativeFloat
    label: str = "intervention window"


class MetricNote(Record):
    """How to read a metric; overrides the built-in glossary."""

    name: str
    label: str = ""
    note: str = ""
    """One sentence: what it measures and which sign or direction means what."""


class HeadRecord(Record):
    """One metric on one attention head, with the level that chance reaches."""

    metric: str
    layer: NonNegativeInt
    head: NonNegativeInt
    value: float
    null: float | None = None
    """The null's upper quantile (or its lower one for a negative effect); the head stands out only beyond it."""


class TokenRecord(Record):
    """One token of a document and its share of the document's influence, same sign convention as the score."""

    text: str
    value: float


class DocumentRecord(Record):
    """One training document, its influence score, and the influence of each token."""

    rank: NonNegativeInt
    id: str
    domain: str = ""
    score: float
    probe_scores: dict[str, float] = Field(default_factory=dict)
    """The score under each probe (log-prob, contrastive, attention), in that probe's units."""
    tokens: tuple[TokenRecord, ...] = ()
    source: str = ""


class DomainRecord(Record):
    """A domain's share of the corpus beside its share of the positive influence."""

    domain: str
    documents: NonNegativeInt
    corpus_share: float
    """Fraction of the documents (or tokens) that were scored, 0..1."""
    influence_share: float
    """Fraction of the influence, 0..1."""
    enrichment: float | None = None
    """influence_share / corpus_share: above 1, the domain counts for more than its size."""
    low: float | None = None
    high: float | None = None
    planted: bool = False


class MethodRecord(Record):
    """One method's answer to one question, beside its gate and its cost."""

    method: str
    question: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    cost_seconds: float | None = None
    gate: float | str | None = None
    """The bar to clear, as a number or in words; None: reported without a gate."""
    passed: bool | None = None
    baseline: bool = False
    """True for the cheap baselines that a method has to beat."""
    world: str = ""
    """The planted world or the corpus on which it was measured."""


class EffectRow(Record):
    """The effect of one arm against one control on one metric. Positive: the arm raised the metric."""

    arm: str
    control: str
    metric: str
    estimate: float
    low: float | None = None
    high: float | None = None
    n: NonNegativeInt = 0
    unit: str = ""
    p: float | None = None
    q: float | None = None
    """p after Benjamini-Hochberg over the table."""
    is_control: bool = False
    """True when the arm itself is a control (random, loss-matched, ...), expected to do nothing."""
    note: str = ""
    """What a reader must know before trusting the row, such as runs that ended before emergence."""


class ComparisonRecord(Record):
    """The power law against another law on the same tail. Positive: the power law fits better."""

    log_likelihood_ratio: float
    normalised: float
    p: float


class TailRecord(Record):
    """The fitted power-law tail and its rivals, as `stats.power_law.TailFit` gives them."""

    xmin: float
    count: NonNegativeInt
    tail_index: float
    ks: float
    versus_lognormal: ComparisonRecord
    versus_exponential: ComparisonRecord


class ConcentrationRecord(Record):
    """How few documents carry how much of the influence: `stats.power_law.Concentration.as_dict()` and a curve."""

    fraction: float = 0.1
    """The top fraction that the shares speak of."""
    share_positive: EffectRecord
    """Share of the top fraction of the positive values in their sum."""
    share_absolute: EffectRecord | None = None
    share_of_positive_mass: EffectRecord | None = None
    """Share of the top fraction of all documents (what a deletion removes) in the positive sum."""
    hill: float | None = None
    hill_low: float | None = None
    hill_high: float | None = None
    tail: TailRecord | None = None
    verdict: str = ""
    """power law, not identified, or not a power law."""
    reason: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    """(fraction of documents, largest first; cumulative share of the positive influence) for the chart."""


class StageRecord(Record):
    """Wall-clock seconds of one stage of the run."""

    stage: str
    seconds: NonNegativeFloat


class TrustNote(Record):
    """How a method or a number can mislead."""

    subject: str
    text: str


def _stages(value: Any) -> Any:
    """Accept {stage: seconds} where a list of records is asked, keeping its order."""
    if isinstance(value, Mapping):
        return tuple({"stage": stage, "seconds": seconds} for stage, seconds in value.items())
    return value


class ProvenanceRecord(Record):
    """Enough to run it again and to check that the result is the same."""

    command: str = ""
    created: str = ""
    machine: str = ""
    seconds: Annotated[tuple[StageRecord, ...], BeforeValidator(_stages)] = ()
    """Also accepts {stage: seconds}."""
    digests: dict[str, str] = Field(default_factory=dict)
    """Name to sha256: corpus, registration, recipe keys."""
    versions: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class ReportData(Record):
    """Everything a report shows. Empty tuples become a sentence that says what was not run."""

    title: str
    question: str
    answer_lines: tuple[str, ...] = ()
    """The answer in five plain lines."""
    sign_convention: str = "Positive influence: training on the document strengthens the mechanism."
    claims: tuple[ClaimRecord, ...] = ()
    hypotheses: tuple[HypothesisRecord, ...] = ()
    registration: str = ""
    """sha256 of the registered hypotheses."""
    metrics: tuple[MetricNote, ...] = ()
    trajectories: tuple[TrajectoryPoint, ...] = ()
    onsets: tuple[OnsetRecord, ...] = ()
    windows: tuple[WindowRecord, ...] = ()
    heads: tuple[HeadRecord, ...] = ()
    chosen_heads: tuple[str, ...] = ()
    """Components such as "L1.H2" that are outlined on the heat maps."""
    mechanisms: tuple[ScoredMechanismRecord, ...] = ()
    """What else heads do; empty leaves it out."""
    circuit: CircuitRecord | None = None
    """The paths into the induction head; None leaves it out."""
    documents: tuple[DocumentRecord, ...] = ()
    domains: tuple[DomainRecord, ...] = ()
    methods: tuple[MethodRecord, ...] = ()
    effects: tuple[EffectRow, ...] = ()
    concentration: ConcentrationRecord | None = None
    character: CharacterRecord | None = None
    """What the high-influence documents are; None leaves the section out."""
    attribution_window: WindowFindingsRecord | None = None
    """How the influence depends on probe, checkpoint and head; None leaves the section out."""
    doses: tuple[DoseRecord, ...] = ()
    sizes: SizesRecord | None = None
    gains: tuple[GainRecord, ...] = ()
    written: tuple[WrittenRecord, ...] = ()
    icl: tuple[IclRecord, ...] = ()
    influence: InfluenceRecord | None = None
    """Set by a perturbation study: its sections take the place of those that only a mechanism study fills."""
    susceptibility: SusceptibilityRecord | None = None
    """Set by a susceptibility study, likewise."""
    emergence: EmergenceRecord | None = None
    """Set by an emergence study, likewise."""
    limits: tuple[str, ...] = ()
    trust: tuple[TrustNote, ...] = ()
    provenance: ProvenanceRecord = ProvenanceRecord()


def save_report_data(data: ReportData, path: Path) -> None:
    """Write the report's data as JSON, atomically; `load_report_data` gives back an equal object.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, data.model_dump(mode="json"))
    except OSError as error:
        raise OutputError(unwritable(path, error)) from error


def load_report_data(path: Path) -> ReportData:
    """Read report data saved by `save_report_data`.

    Raises:
        ConfigError: the file is missing, is not JSON, or has a field that no report knows.
    """
    try:
        return ReportData.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: no report data here ({error.strerror}); name a finished run.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{path}: not the data of a report: {where}: {first['msg']} "
            f"({error.error_count()} problems); run the study again to rewrite it."
        ) from error


def unwritable(path: Path, error: OSError) -> str:
    """One sentence for a file that cannot be written."""
    return f"{path}: cannot be written ({error.strerror or error}); choose another folder or free some space."
