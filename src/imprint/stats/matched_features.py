"""In which features treated documents differ from controls of the same stratum (domain, loss, length), feature by feature."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats

from imprint.errors import InputError
from imprint.stats.effects import Effect
from imprint.stats.multiplicity import benjamini_hochberg
from imprint.stats.samples import NO_SPREAD, require_sample

_LEVEL = 0.95
_ROUNDING = 1e-9
_PERFECT = "every treated document is on one side of every control: exact binomial interval of the smaller group"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureDifference:
    """One feature of the treated documents beside their controls. Positive: the treated have more of it."""

    feature: str
    treated_mean: float
    control_mean: float
    """Mean of the controls, each stratum weighted by its treated documents."""
    difference: Effect
    """Treated mean minus control mean, in the feature's own units."""
    delta: Effect
    """Cliff's delta: chance that a treated document has more than a control of its stratum, minus that of less; -1..1."""
    p: float
    """Two-sided, labels permuted within strata."""
    q: float
    """p after Benjamini-Hochberg over every feature and every matching that was asked for together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedComparison:
    """All features under one matching."""

    matching: str
    treated: int
    """Treated documents with a control in their stratum; the comparison speaks of these only."""
    unmatched: int
    """Treated documents whose stratum holds no control."""
    controls: int
    """Untreated documents of those strata; all of them count, none is drawn."""
    features: tuple[FeatureDifference, ...]
    """Empty where fewer than two treated documents or two controls are left."""


def feature_differences(
    features: Mapping[str, Float[np.ndarray, " doc"]],
    treated: Bool[np.ndarray, " labels"],
    matchings: Mapping[str, Shaped[np.ndarray, " strata"]],
    *,
    seed: int,
    draws: int = 2000,
) -> tuple[MatchedComparison, ...]:
    """Every feature of the treated documents against the untreated ones of the same stratum, once for each matching.

    `matchings` gives each document's stratum by the name of the matching: the same value for all documents compares with
    all others. The result does not depend on the order of the documents. p is Monte Carlo, (b + 1) / (draws + 1).

    Raises:
        InputError: no feature or no matching, arrays of different length, or no treated or no untreated document.
        SelfCheckFailed: a feature is not finite.

    Trust: assumes independent documents; passages of one document make intervals and p too small. A matching by bins
    leaves what differs within a bin. An association, no cause: rung 0 of the evidence ladder.
    """
    _require(features, treated, matchings)
    values = np.stack([column.astype(np.float64) for column in features.values()], axis=1)
    found = [_compare(list(features), values, treated, name, matchings[name], seed, draws) for name in matchings]
    return _adjusted(found)


def quantile_bins(values: Float[np.ndarray, " doc"], bins: int = 10) -> Int[np.ndarray, " doc"]:
    """The quantile bin (decile by default) of every value, 0 the lowest; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return np.asarray(np.searchsorted(edges, values, side="left"), dtype=np.int64)


def joint_strata(*columns: Shaped[np.ndarray, " doc"]) -> Int[np.ndarray, " doc"]:
    """One number for each combination of the columns' values."""
    codes = [np.unique(column, return_inverse=True)[1] for column in columns]
    return np.asarray(np.ravel_multi_index(codes, [int(code.max(initial=0)) + 1 for code in codes]), dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Matched:
    """Documents in strata that hold both arms, sorted by stratum, the treated first in each."""

    values: Float[np.ndarray, "doc feature"]
    strata: Int[np.ndarray, " doc"]
    treated: Bool[np.ndarray, " doc"]

    @property
    def arms(self) -> tuple[Int[np.ndarray, " stratum"], Int[np.ndarray, " stratum"]]:
        """Treated documents and controls of each stratum."""
        count = int(self.strata.max(initial=-1)) + 1
        return (
            np.bincount(self.strata[self.treated], minlength=count),
            np.bincount(self.strata[~self.treated], minlength=count),
        )


def _require(features: Mapping[str, np.ndarray], treated: np.ndarray, matchings: Mapping[str, np.ndarray]) -> None:
    if not features or not matchings:
        raise InputError(f"{len(features)} features and {len(matchings)} matchings: name at least one of each.")
    for name, column in (*features.items(), *matchings.items()):
        if column.shape != treated.shape:
            raise InputError(f"'{name}' has {column.size} values for {treated.size} documents: give one a document.")
    for name, column in features.items():
        require_sample(column, name=f"the feature '{name}'")
    if not treated.any() or treated.all():
        raise InputError(f"{treated.sum()} of {treated.size} documents are treated: a comparison needs both arms.")


def _compare(
    names: Sequence[str],
    values: Float[np.ndarray, "doc feature"],
    treated: Bool[np.ndarray, " doc"],
    matching: str,
    labels: Shaped[np.ndarray, " doc"],
    seed: int,
    draws: int,
) -> MatchedComparison:
    matched = _matched(values, treated, labels)
    used, controls = int(matched.treated.sum()), int((~matched.treated).sum())
    rows: tuple[FeatureDifference, ...] = ()
    if used >= 2 and controls >= 2:
        scores = np.stack([_label_scores(column, matched) for column in matched.values.T], axis=1)
        p = _permutation_p(scores, matched, seed, draws)
        rows = tuple(_difference(name, column, matched, matching, float(one))
                     for name, column, one in zip(names, matched.values.T, p, strict=True))  # fmt: skip
    return MatchedComparison(
        matching=matching, treated=used, unmatched=int(treated.sum()) - used, controls=controls, features=rows
    )


def _matched(values: np.ndarray, treated: np.ndarray, labels: np.ndarray) -> _Matched:
    """Sorted by content, so that the order in which documents came cannot matter."""
    strata = np.unique(labels, return_inverse=True)[1]
    both = (np.bincount(strata, weights=treated) > 0) & (np.bincount(strata, weights=~treated) > 0)
    kept = np.flatnonzero(both[strata])
    kept = kept[np.lexsort((*values[kept].T, ~treated[kept], strata[kept]))]
    return _Matched(values=values[kept], strata=np.unique(strata[kept], return_inverse=True)[1], treated=treated[kept])


def _difference(name: str, column: np.ndarray, matched: _Matched, matching: str, p: float) -> FeatureDifference:
    mean = float(column[matched.treated].mean())
    delta, gap = _delta(name, column, matched, matching), _gap(name, column - column.min(), matched, matching)
    return FeatureDifference(
        feature=name, treated_mean=mean, control_mean=mean - gap.estimate, difference=gap, delta=delta, p=p, q=p
    )


def _delta(name: str, column: np.ndarray, matched: _Matched, matching: str) -> Effect:
    above = _placements(column, matched, of=matched.treated, among=~matched.treated)
    below = -_placements(column, matched, of=~matched.treated, among=matched.treated)
    delta, error = float(above.mean()), _standard_error(above, below, matched)
    low, high, note = _delta_interval(delta, error, above.size, below.size)
    return _effect(delta, low, high, above.size, matching, f"Cliff's delta of {name}", note)


def _gap(name: str, column: np.ndarray, matched: _Matched, matching: str) -> Effect:
    strata, own = matched.strata, column[~matched.treated]
    means = np.bincount(strata[~matched.treated], weights=own) / matched.arms[1]
    over = column[matched.treated] - means[strata[matched.treated]]
    gap, reach = float(over.mean()), _reach(over.size) * _standard_error(over, own, matched)
    return _effect(gap, gap - reach, gap + reach, over.size, matching, name, "" if reach else NO_SPREAD)


def _reach(n: int) -> float:
    return float(stats.t.ppf(0.5 + _LEVEL / 2, n - 1))


def _effect(estimate: float, low: float, high: float, n: int, matching: str, metric: str, note: str) -> Effect:
    return Effect(
        estimate=estimate,
        low=low,
        high=high,
        n=n,
        unit="document",
        control=matching,
        metric=metric,
        level=_LEVEL,
        note=note,
    )


def _placements(
    column: Float[np.ndarray, " doc"],
    matched: _Matched,
    *,
    of: Bool[np.ndarray, " doc"],
    among: Bool[np.ndarray, " doc"],
) -> Float[np.ndarray, " some"]:
    """For each document of `of` the mean sign of its value minus those of its stratum's documents in `among`."""
    ranks = np.unique(column, return_inverse=True)[1]
    keys = matched.strata * (int(ranks.max()) + 1) + ranks
    others, asked = np.sort(keys[among]), matched.strata[of]
    counts = np.bincount(matched.strata[among])
    first = (np.cumsum(counts) - counts)[asked]
    less = np.searchsorted(others, keys[of], side="left") - first
    more = first + counts[asked] - np.searchsorted(others, keys[of], side="right")
    return np.asarray((less - more) / counts[asked])


def _standard_error(
    per_treated: Float[np.ndarray, " treated"], per_control: Float[np.ndarray, " control"], matched: _Matched
) -> float:
    """Of the mean over treated documents of a contrast with their stratum's controls; both arms are samples.

    A stratum of one control borrows the variance within the others (DeLong's two components, taken by stratum).
    """
    numbers, controls = matched.arms
    strata = matched.strata[~matched.treated]
    means = np.bincount(strata, weights=per_control) / controls
    squares = np.bincount(strata, weights=(per_control - means[strata]) ** 2)
    free = int((controls - 1).sum())
    pooled = float(squares.sum()) / free if free else float(per_control.var(ddof=1))
    within = np.where(controls > 1, squares / np.maximum(controls - 1, 1), pooled)
    weights = numbers / numbers.sum()
    return math.sqrt(per_treated.var(ddof=1) / per_treated.size + float((weights**2 * within / controls).sum()))


def _delta_interval(delta: float, error: float, treated: int, controls: int) -> tuple[float, float, str]:
    """On the scale of Fisher's z, so that it stays within -1..1."""
    if 1 - abs(delta) < _ROUNDING:
        edge = 2 * (0.5 - _LEVEL / 2) ** (1 / min(treated, controls)) - 1
        return (edge, delta, _PERFECT) if delta > 0 else (delta, -edge, _PERFECT)
    if error == 0:
        return delta, delta, NO_SPREAD
    reach = _reach(treated) * error / (1 - delta**2)
    return math.tanh(math.atanh(delta) - reach), math.tanh(math.atanh(delta) + reach), ""


def _label_scores(column: Float[np.ndarray, " doc"], matched: _Matched) -> Float[np.ndarray, " doc"]:
    """What each document adds to Cliff's delta when it bears the label "treated"; the scores of a stratum sum to 0."""
    everyone = np.ones(len(column), dtype=bool)
    numbers, controls = matched.arms
    size = (numbers + controls)[matched.strata]
    signs = _placements(column, matched, of=everyone, among=everyone) * size
    return np.asarray(np.rint(signs) / (controls[matched.strata] * numbers.sum()))


def _permutation_p(
    scores: Float[np.ndarray, "doc feature"], matched: _Matched, seed: int, draws: int
) -> Float[np.ndarray, " feature"]:
    """One shuffle serves all features: a random order, sorted stably by stratum, deals the labels anew."""
    generator = np.random.default_rng(seed)
    narrow = matched.strata.astype(np.uint16 if matched.strata[-1] < 2**16 else np.int64)  # 16 bits: radix sort
    observed = np.abs(scores[matched.treated].sum(axis=0)) - _ROUNDING
    as_far = np.zeros(scores.shape[1], dtype=np.int64)
    for _ in range(draws):
        shuffled = generator.permutation(len(narrow))
        dealt = shuffled[np.argsort(narrow[shuffled], kind="stable")][matched.treated]
        as_far += np.abs(scores[dealt].sum(axis=0)) >= observed
    return np.asarray((as_far + 1) / (draws + 1))


def _adjusted(comparisons: Sequence[MatchedComparison]) -> tuple[MatchedComparison, ...]:
    p = np.array([row.p for comparison in comparisons for row in comparison.features])
    q = iter(benjamini_hochberg(p).tolist() if p.size else [])
    return tuple(
        replace(comparison, features=tuple(replace(row, q=next(q)) for row in comparison.features))
        for comparison in comparisons
    )
