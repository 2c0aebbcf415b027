"""What the report of a susceptibility study shows: design, contamination, variance, surface, representation, removal."""

from pydantic import Field, NonNegativeInt

from imprint.attribution import Agreement
from imprint.report.records import EffectRecord, Record
from imprint.stats import ScalarScreen, Undefined
from imprint.studies.susceptibility import Explanation, StoppingRule
from imprint.studies.variance import VarianceFinding


class DesignRecord(Record):
    """What was fixed before anything was trained."""

    digest: str
    base: str
    stages: tuple[tuple[str, str], ...]
    """Name and what it trains on, in order."""
    conditions: tuple[tuple[str, str], ...]
    """Name and the names of its files."""
    seeds: NonNegativeInt
    stage_seeds: NonNegativeInt
    outcomes: tuple[tuple[str, str], ...]
    """Name and how it is measured."""
    scalars: tuple[tuple[str, tuple[str, ...]], ...]
    """Room and the scalars that were registered in it."""
    removal: str
    rules: tuple[StoppingRule, ...] = ()


class MatchRecord(Record):
    """One evaluation item in one training text."""

    item: str
    document: str
    domain: str
    kind: str
    similarity: float


class ContaminationRecord(Record):
    """Evaluation items that stand in training text."""

    found: NonNegativeInt
    """Items."""
    matches: NonNegativeInt
    """Pairs of an item and a training text."""
    judged_clean: NonNegativeInt
    unjudged: NonNegativeInt
    """Items too short or formulaic to look for."""
    first: tuple[MatchRecord, ...] = ()
    shares: dict[str, EffectRecord] = Field(default_factory=dict)
    """Of all items, by training corpus."""
    chance: str = ""
    """How often the same search finds text that is no item, as a sentence."""


class DivergenceRecord(Record):
    """How far the tokens of two conditions lie apart: Jensen-Shannon, bits."""

    first: str
    second: str
    n: NonNegativeInt
    """Tokens in an n-gram."""
    js: float
    null_high: float
    """95th percentile for two random halves of the same text."""
    p: float
    excess: EffectRecord


class ClassifierRecord(Record):
    """Can a bag of tokens tell a document's condition?"""

    accuracy: EffectRecord
    chance: float
    null_high: float | None
    """95th percentile of the balanced accuracy with shuffled labels."""
    p: float
    tokens: tuple[tuple[str, tuple[tuple[str, int, int], ...]], ...]
    """By condition its most telling tokens, with how many documents here and elsewhere have them."""


class ScreenRecord(Record):
    """Scalars of the conditions against outcomes."""

    scalars: dict[str, dict[str, float]]
    """Scalar to condition to value."""
    registered: ScalarScreen | Undefined
    explored: ScalarScreen | Undefined


class SurfaceRecord(Record):
    """What the conditions' text gives away."""

    screen: ScreenRecord
    classifier: ClassifierRecord
    divergences: tuple[DivergenceRecord, ...]


class SiteRecord(Record):
    """Whether the conditions' checkpoints can be told apart at one site."""

    site: str
    probe: EffectRecord | None = None
    """Accuracy of the condition of held-out checkpoints."""
    chance: float | None = None
    held_out: str = ""
    """Whole checkpoints, or prompts where a condition has one checkpoint."""
    note: str = ""
    between: float
    """Share of the states' variance that lies between conditions."""
    null_high: float
    p: float
    p_first: float
    """Of the first direction."""


class RepresentationRecord(Record):
    """What differs between the checkpoints before the last stage."""

    screen: ScreenRecord
    sites: tuple[SiteRecord, ...]
    incomplete: tuple[str, ...] = ()


class ConversationRecord(Record):
    """A conversation of a condition that the outcome was traced back to."""

    id: str
    score: float
    messages: tuple[tuple[str, str], ...]
    """Role and text; empty where the files do not hold it any more."""


class RemovalRecord(Record):
    """What one condition's outcome does without some of its conversations."""

    condition: str
    above: bool
    methods: tuple[str, ...]
    removed: NonNegativeInt
    conversations: tuple[ConversationRecord, ...]
    """The first of those that were removed as drivers, the strongest first."""
    outcomes: dict[str, tuple[float, ...]]
    """By arm, one value a pipeline seed."""
    shift: EffectRecord
    p: float
    others: tuple[tuple[str, EffectRecord], ...]
    agreements: tuple[Agreement, ...] = ()


class RemovalsRecord(Record):
    """The removals in every condition that was chosen."""

    sd: float
    freedom: NonNegativeInt
    fraction: float
    removals: tuple[RemovalRecord, ...]


class SusceptibilityRecord(Record):
    """Why checkpoints differ: everything that stands behind the named explanation."""

    explanation: Explanation
    level: float
    """At which the variance hypothesis was registered; an explanation is named only below it."""
    design: DesignRecord
    deviations: tuple[str, ...] = ()
    """Told in the study's file."""
    noticed: tuple[str, ...] = ()
    """Found here: what was registered and not done."""
    means: dict[str, dict[str, float]]
    """Outcome to condition to mean over pipelines."""
    contamination: ContaminationRecord
    variance: tuple[VarianceFinding, ...]
    clean: tuple[VarianceFinding, ...] = ()
    surface: SurfaceRecord
    representation: RepresentationRecord | None = None
    removal: RemovalsRecord | None = None
    absent: dict[str, str] = Field(default_factory=dict)
    """Why a section has nothing to show, by its name."""
