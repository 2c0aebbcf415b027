"""What the report says about the kind of document that is influential: records with the fields of `studies`' `Character`."""

from pydantic import Field, NonNegativeInt

from imprint.report.records import EffectRecord, Record


class FeatureRecord(Record):
    """One structure feature of the top documents beside their controls. Positive: the top documents have more of it."""

    feature: str
    treated_mean: float
    control_mean: float
    """Mean of the controls, weighted to the strata of the top documents."""
    difference: EffectRecord
    """In the feature's own units."""
    delta: EffectRecord
    """Cliff's delta, -1..1: 0 is no difference."""
    p: float
    q: float
    """p after Benjamini-Hochberg over every feature and matching of the pool."""


class MatchingRecord(Record):
    """All features against one kind of control."""

    matching: str
    treated: NonNegativeInt
    """Top documents with a control in their stratum."""
    unmatched: NonNegativeInt
    """Top documents without one, left out of this comparison."""
    controls: NonNegativeInt
    features: tuple[FeatureRecord, ...] = ()


class EnrichedDomainRecord(Record):
    """A domain's share among the top documents over its share of the pool; 1 is chance."""

    category: str
    documents: NonNegativeInt
    treated: NonNegativeInt
    enrichment: EffectRecord
    p: float
    q: float


class PoolRecord(Record):
    """The top documents of one pool (all, or natural only) beside the rest of it."""

    pool: str
    documents: NonNegativeInt
    top: NonNegativeInt
    comparisons: tuple[MatchingRecord, ...]
    domains: tuple[EnrichedDomainRecord, ...] = ()
    influence: dict[str, EffectRecord] = Field(default_factory=dict)
    """Each domain's share of the positive influence over its share of the pool."""


class CharacterRecord(Record):
    """What the top fraction of the documents by influence are."""

    fraction: float
    pools: tuple[PoolRecord, ...]
