"""What the report of an emergence study shows: design, graph, tests of effects, curves, forecasts, allocation."""

from pydantic import Field, NonNegativeInt

from imprint.emergence.graph.discovery import Agreement
from imprint.report.records import EffectRecord, Record
from imprint.studies.emergence import Abruptness, Forecast


class ScaleRecord(Record):
    """One size of model."""

    name: str
    parameters: NonNegativeInt
    shape: str
    """Its sizes in words."""
    seeds: NonNegativeInt
    held_out: bool = False
    """Predicted before it was trained, and in no test of the graph."""


class ArmRecord(Record):
    """One intervention on training."""

    name: str
    sets: tuple[str, ...]
    """The nodes of the graph that it sets."""
    words: str
    """What is done to the runs."""


class EmergenceDesignRecord(Record):
    """What was fixed before anything was trained."""

    digest: str
    scales: tuple[ScaleRecord, ...]
    arms: tuple[ArmRecord, ...]
    runs: NonNegativeInt
    steps: NonNegativeInt
    checkpoints: NonNegativeInt
    tokens: NonNegativeInt
    """That a run sees."""
    items: NonNegativeInt
    """Questions an ability and checkpoint."""
    early: float
    """Dynamics are means over this first part of training, abilities over the rest."""
    tau: float
    """Least chance-corrected score of an ability that counts as there."""
    margin: float
    """The smallest effect on a chance-corrected score that matters."""
    alpha: float


class NodeRecord(Record):
    """A node of the causal graph and its place in the drawing: x counts tiers, y lies in [0, 1]."""

    name: str
    kind: str
    tier: str
    about: str
    x: NonNegativeInt
    y: float


class EdgeRecord(Record):
    """An edge of the refined graph; the numbers are those of the deciding test, in units of the effect's node."""

    cause: str
    effect: str
    hypothesised: str
    """The sign that was registered; empty for an added edge."""
    sign: str
    state: str
    reason: str
    because: str
    """Why it was registered."""
    arm: str = ""
    found: EffectRecord | None = None
    q: float | None = None


class GraphRecord(Record):
    """The refined graph, ready to be drawn."""

    title: str
    tiers: tuple[str, ...]
    nodes: tuple[NodeRecord, ...]
    edges: tuple[EdgeRecord, ...]
    notes: tuple[str, ...] = ()


class ScalePoint(Record):
    """An effect at one scale."""

    scale: str
    estimate: float
    low: float | None = None
    high: float | None = None
    pairs: NonNegativeInt


class ArmEffectRecord(Record):
    """What one arm did to one node, against its reference. Positive: the arm raised the node's value."""

    arm: str
    reference: str
    cause: str
    effect: str
    kind: str
    """Of the effect's node."""
    held: tuple[str, ...] = ()
    """Nodes that the arm and its reference set alike."""
    found: EffectRecord | None = None
    in_control_sd: float | None = None
    p: float | None = None
    q: float | None = None
    matters: bool
    """Significant, and not wholly within the margin."""
    margin: float
    word: str
    """The outcome in words."""
    by_scale: tuple[ScalePoint, ...] = ()
    at_floor: tuple[str, ...] = ()
    """Scales left out, since the node stays at its floor there with and without the arm."""
    p_scales: float | None = None
    """Of "the effect is the same at all scales"."""


class ManipulationRecord(Record):
    """Whether an arm moved the node that it sets."""

    arm: str
    node: str
    moved: bool | None
    found: EffectRecord | None = None


class CurveRecord(Record):
    """The accuracy in one ability along training at one scale under one arm, means over seeds."""

    ability: str
    scale: str
    arm: str
    chance: float
    there: float
    """The accuracy from which the ability counts as there."""
    steps: tuple[NonNegativeInt, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """Of the lowest seed."""
    high: tuple[float, ...]
    onsets: tuple[NonNegativeInt | None, ...]
    """By seed the first checkpoint at which the ability is there; None: at none."""
    last: NonNegativeInt
    """In how many seeds it is there at the last checkpoint."""


class ForecastRecord(Record):
    """The held-out scale as predicted and as it came."""

    scale: str
    asked_of: NonNegativeInt
    """Abilities under arms, those that were there at a trained scale included."""
    forecasts: tuple[Forecast, ...]
    base_rate: float
    auc: EffectRecord | None
    auc_undefined: str = ""
    auc_p: float
    persistence_auc: float | None
    brier: float
    brier_base_rate: float
    skill: EffectRecord
    skill_p: float
    foretold: bool = True
    """Whether the predictions were made before any run at that scale was trained."""
    backtest: str = ""
    """What the smaller scales said of the largest trained one, in a sentence."""


class AllocationRecord(Record):
    """Allocation policies on the runs of the study."""

    targets: NonNegativeInt
    abilities: tuple[str, ...]
    arms: NonNegativeInt
    over_oracle: tuple[tuple[str, EffectRecord], ...]
    saving: EffectRecord
    saving_p: float


class PathRecord(Record):
    """What one unit of a cause does in the structural model."""

    cause: str
    effect: str
    direct: EffectRecord
    indirect: EffectRecord
    total: EffectRecord


class BesideRecord(Record):
    """Cross-checks that decide no edge; where one cannot be had, its note is the reason."""

    taxonomy: str
    """Groups of abilities in words."""
    paths: tuple[PathRecord, ...] = ()
    structure_note: str
    agreement: tuple[Agreement, ...] = ()
    runs: NonNegativeInt = 0
    reference_edges: NonNegativeInt = 0
    discovery_note: str


class EmergenceRecord(Record):
    """What moved which ability, and what it is good for."""

    design: EmergenceDesignRecord
    deviations: tuple[str, ...] = ()
    """Told in the study's file."""
    noticed: tuple[str, ...] = ()
    """Found here: what was registered and not done."""
    graph: GraphRecord
    effects: tuple[ArmEffectRecord, ...]
    unvaried: NonNegativeInt = 0
    """Arms and nodes left out of `effects`, since the node has one value in all runs compared."""
    manipulations: tuple[ManipulationRecord, ...]
    beside: BesideRecord
    curves: tuple[CurveRecord, ...]
    abruptness: tuple[Abruptness, ...]
    forecast: ForecastRecord | None = None
    allocation: AllocationRecord | None = None
    absent: dict[str, str] = Field(default_factory=dict)
    """Why a section has nothing to show, by its name."""
