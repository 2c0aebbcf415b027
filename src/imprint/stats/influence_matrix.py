"""Φ, the Data Influence Matrix of source 001: the effect of every cluster's perturbation on every ability.

The mean over heterogeneous perturbations hides their sign (METHODS §5), so median, quartiles, the share of positive effects
and one matrix for each family stand beside it. Effects are positive where the perturbation hurt.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from imprint.errors import InputError
from imprint.stats.multiplicity import benjamini_hochberg
from imprint.stats.samples import require_sample


@dataclass(frozen=True, kw_only=True, slots=True)
class InfluenceRecord:
    """One perturbation of one cluster, measured on one ability."""

    cluster: str
    ability: str
    family: str
    """Kind of perturbation, such as "mean ablation"."""
    setting: str
    """Dose, layer and whatever else tells two perturbations of a family apart."""
    estimate: float
    """Effect in the chosen score; positive = hurt."""
    p: float
    """p of no effect (against the control where there is one)."""
    low: float | None = None
    high: float | None = None
    control: float | None = None
    """The same score for the matched random control; None when none was run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InfluenceMatrix:
    """Φ with its spread over perturbations; rows are clusters, columns abilities, both in order of first appearance."""

    clusters: tuple[str, ...]
    abilities: tuple[str, ...]
    mean: Float64[np.ndarray, "cluster ability"]
    """Source 001's Φ."""
    median: Float64[np.ndarray, "cluster ability"]
    quartiles: Float64[np.ndarray, "2 cluster ability"]
    positive: Float64[np.ndarray, "cluster ability"]
    """Share of perturbations that hurt: near one half, the mean is of mixed signs."""
    count: Int[np.ndarray, "cluster ability"]
    p: Float64[np.ndarray, "cluster ability"]
    """Cauchy combination of the cell's p-values (Liu and Xie 2020: valid for dependent tests)."""
    q: Float64[np.ndarray, "cluster ability"]
    """Benjamini-Hochberg over the whole matrix."""
    families: Mapping[str, Float64[np.ndarray, "cluster ability"]]
    """The median within each family; NaN where the family was not tried on a cell."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON; a cell without a value is null."""
        arrays = ("mean", "median", "quartiles", "positive", "count", "p", "q")
        plain: dict[str, Any] = {name: _plain(getattr(self, name)) for name in arrays}
        labels = {"clusters": list(self.clusters), "abilities": list(self.abilities)}
        return labels | plain | {"families": {name: _plain(cells) for name, cells in self.families.items()}}


def influence_matrix(records: Sequence[InfluenceRecord], *, subtract_control: bool = False) -> InfluenceMatrix:
    """Φ from all records; with `subtract_control` every estimate has its matched control's taken off.

    Raises:
        InputError: no record, a cell without one, a p outside [0, 1], or a control that is missing.
        SelfCheckFailed: an estimate is not finite.

    Trust: perturbations of one cell share items and are no independent sample: quartiles describe, they do not test.
    """
    if not records:
        raise InputError("a Data Influence Matrix needs at least one record: run a perturbation first.")
    clusters = tuple(dict.fromkeys(one.cluster for one in records))
    abilities = tuple(dict.fromkeys(one.ability for one in records))
    values = np.array([_value(one, subtract_control) for one in records])
    require_sample(values, at_least=1, name="the effects")
    cells = _cells(records, clusters, abilities)
    combined = np.vectorize(lambda chosen: _cauchy([records[number].p for number in chosen]), otypes=[float])(cells)

    def over(function: Any) -> Float64[np.ndarray, "cluster ability"]:
        table: np.ndarray = np.vectorize(lambda chosen: float(function(values[chosen])), otypes=[float])(cells)
        return table

    return InfluenceMatrix(
        clusters=clusters,
        abilities=abilities,
        mean=over(np.mean),
        median=over(np.median),
        quartiles=np.stack([over(lambda x: np.percentile(x, 25)), over(lambda x: np.percentile(x, 75))]),
        positive=over(lambda x: np.mean(x > 0)),
        count=over(len).astype(np.int64),
        p=combined,
        q=benjamini_hochberg(combined),
        families={name: _family(records, values, cells, name) for name in dict.fromkeys(one.family for one in records)},
    )


def _value(record: InfluenceRecord, subtract_control: bool) -> float:
    if not subtract_control:
        return record.estimate
    if record.control is None:
        raise InputError(
            f"'{record.family}' ({record.setting}) of '{record.cluster}' on '{record.ability}' has no control to"
            " subtract: run its matched control."
        )
    return record.estimate - record.control


def _cells(records: Sequence[InfluenceRecord], clusters: tuple[str, ...], abilities: tuple[str, ...]) -> np.ndarray:
    """An object array of index arrays: the records of every cell."""
    cells = np.empty((len(clusters), len(abilities)), dtype=object)
    for row, cluster in enumerate(clusters):
        for column, ability in enumerate(abilities):
            mine = [number for number, one in enumerate(records) if (one.cluster, one.ability) == (cluster, ability)]
            if not mine:
                raise InputError(f"no perturbation of '{cluster}' was measured on '{ability}': fill the cell.")
            cells[row, column] = np.array(mine)
    return cells


def _family(
    records: Sequence[InfluenceRecord], values: Float64[np.ndarray, " record"], cells: np.ndarray, family: str
) -> Float64[np.ndarray, "cluster ability"]:
    def median(chosen: np.ndarray) -> float:
        mine = [values[number] for number in chosen if records[number].family == family]
        return float(np.median(mine)) if mine else math.nan

    table: np.ndarray = np.vectorize(median, otypes=[float])(cells)
    return table


def _cauchy(p: Sequence[float]) -> float:
    """Cauchy combination of p-values; exact 0 and 1 are kept from infinity by 1e-15."""
    values = np.array(p)
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"p={values.min()} to {values.max()} holds no p-values: every entry must lie in [0, 1].")
    statistic = np.tan((0.5 - np.clip(values, 1e-15, 0.999)) * np.pi).mean()
    return float(0.5 - np.arctan(statistic) / np.pi)


def _plain(array: np.ndarray) -> Any:
    """Nested lists with null for NaN."""
    cells = array.astype(object)
    cells[array != array] = None
    return cells.tolist()
