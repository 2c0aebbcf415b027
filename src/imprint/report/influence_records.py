"""What the report of a perturbation study shows: abilities, clusters, the cells of the Data Influence Matrix, checks."""

from collections import Counter

from pydantic import Field, NonNegativeInt, model_validator

from imprint.report.records import EffectRecord, Record


class AbilityRecord(Record):
    """One ability of the unperturbed model: its items, how well it does, and what guessing would give."""

    name: str
    items: NonNegativeInt
    accuracy: EffectRecord
    chance: float | None = None
    """Accuracy of guessing; None where no guess is possible."""
    log_odds: EffectRecord | None = None
    """Mean log-probability of the gold answer among the options, in nats (0 = always sure and right)."""
    control: bool = False
    """True for an ability that no cluster is expected to carry."""
    note: str = ""


class ClusterRecord(Record):
    """One cluster of training text: what it is made of and which part of the representation belongs to it."""

    name: str
    method: str
    """How it was found: domains, lda, bertopic, dbscan."""
    documents: NonNegativeInt
    tokens: NonNegativeInt = 0
    share: float
    """Share of all documents (or tokens), 0..1."""
    words: tuple[str, ...] = ()
    """The most distinctive words."""
    traits: dict[str, float] = Field(default_factory=dict)
    """Named statistics: syntactic complexity, entity and discourse rates, coherence, density."""
    examples: tuple[str, ...] = ()
    site: str = ""
    dimensions: NonNegativeInt = 0
    """Size of R_k at the site."""
    strongest: tuple[tuple[int, float], ...] = ()
    """(dimension, Cohen's d) of the strongest members of R_k."""
    probe: EffectRecord | None = None
    """Accuracy of a linear probe for this cluster, cross-validated by document."""
    selectivity: float | None = None
    """Probe accuracy minus that of its control task."""
    explained: float | None = None
    """Share of the cluster's variance that its principal directions explain."""
    distances: dict[str, EffectRecord] = Field(default_factory=dict)
    """Mahalanobis distance of the cluster to each ability's prompts (Delta_task); the null in the control field."""


class DosePoint(Record):
    """One dose on one ability. Positive `harm`: the perturbation lowered the ability."""

    dose: float
    harm: float
    """Drop of the gold answer's log-probability among the options, in nats an item."""
    low: float
    high: float
    control: float | None = None
    """The same with the matched random perturbation."""
    control_low: float | None = None
    control_high: float | None = None
    accuracy: float | None = None
    """Accuracy at this dose."""


class FamilyRecord(Record):
    """One family of perturbation on one cell: the dose curve and what follows from it."""

    family: str
    points: tuple[DosePoint, ...]
    harm: EffectRecord
    """Mean over the doses of (harm minus the control's), paired by item."""
    ais: EffectRecord | None = None
    """Ablation impact score of the accuracy at the largest dose (source 001)."""
    ais_note: str = ""
    ais_corrected: EffectRecord | None = None
    """The same with chance subtracted."""
    mcnemar_p: float | None = None
    trend_p: float | None = None
    """p of a monotone trend over the doses."""
    half_dose: EffectRecord | None = None
    """EC50 of the four-parameter logistic."""
    half_dose_note: str = ""
    threshold: str = ""
    """What the change-point model says against a smooth one, in words."""
    control: str = ""
    """What the matched control was, with what was matched."""
    p: float | None = None
    q: float | None = None


class CellRecord(Record):
    """One cell of the Data Influence Matrix: what perturbing a cluster's representation does to an ability."""

    cluster: str
    ability: str
    phi: float
    """Median over families and doses of (harm minus control), nats an item. Positive: the ability lost."""
    low: float | None = None
    high: float | None = None
    quartiles: tuple[float, float] | None = None
    mean_ais: float | None = None
    """Mean AIS over all configurations: the formula of source 001, not corrected for chance or control."""
    mean_ais_corrected: float | None = None
    """The same with the accuracy of guessing subtracted from both arms."""
    agreement: float | None = None
    """Share of the configurations whose sign is that of the median."""
    specificity: float | None = None
    """phi minus the mean phi of the same cluster on the other abilities."""
    p: float | None = None
    q: float | None = None
    families: tuple[FamilyRecord, ...] = ()
    note: str = ""


class ValidationRecord(Record):
    """Whether a perturbation hits what it aims at, before any claim is drawn from it."""

    cluster: str
    family: str
    dose: float
    perplexity_cluster: EffectRecord
    """Change of the loss on the cluster's own held-out text, nats a token (positive: worse)."""
    perplexity_general: EffectRecord
    """The same on text of the other clusters."""
    attention: EffectRecord | None = None
    """Change of the attention patterns above the site: mean total variation, 0..1."""
    drift: EffectRecord | None = None
    """Paired Mahalanobis distance between the states before and after, at the last layer."""
    untargeted: EffectRecord | None = None
    """Harm to the control ability."""
    passed: bool | None = None
    note: str = ""


class VariationRecord(Record):
    """The harm of one perturbation as one thing about it is varied: the layer, or the share of tokens it touches."""

    cluster: str
    ability: str
    varied: str
    """"layer" or "share of tokens"."""
    value: str
    harm: EffectRecord
    control: EffectRecord | None = None


class InfluenceRecord(Record):
    """A perturbation study: the Data Influence Matrix with all that stands behind each cell."""

    model: str
    site: str
    abilities: tuple[AbilityRecord, ...]
    clusters: tuple[ClusterRecord, ...]
    cells: tuple[CellRecord, ...]
    validation: tuple[ValidationRecord, ...] = ()
    variations: tuple[VariationRecord, ...] = ()
    families: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """Perturbed baselines in words: full model, global noise."""
    sheet: str = ""
    """Path of the annotation sheet, relative to the report."""
    agreement: EffectRecord | None = None
    """Krippendorff's alpha, once annotations were imported."""

    @model_validator(mode="after")
    def _one_cell_a_pair(self) -> "InfluenceRecord":
        """Refuse two cells for one cluster and ability, of which a matrix could show only one."""
        pairs = Counter((cell.cluster, cell.ability) for cell in self.cells)
        twice = [f"'{cluster}' on '{ability}'" for (cluster, ability), times in pairs.items() if times > 1]
        if twice:
            raise ValueError(f"more than one cell for {', '.join(twice)}; the matrix has one cell a pair")
        return self
