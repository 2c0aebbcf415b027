"""From items to findings: what each perturbation did to each ability, beside its control, and the Data Influence Matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64

from imprint.errors import InputError
from imprint.runs import read_json
from imprint.stats import (
    DoseResponse,
    Effect,
    Impact,
    InfluenceMatrix,
    InfluenceRecord,
    ThresholdTest,
    ais,
    benjamini_hochberg,
    bootstrap_mean,
    corrected_ais,
    dose_response,
    impact,
    influence_matrix,
    paired_difference,
    paired_permutation,
    threshold_test,
)
from imprint.stats.item_weights import item_weights
from imprint.stats.threshold import FEWEST_DOSES
from imprint.stats.undefined import Undefined
from imprint.studies.perturbation.perturbed import BASE, CONTROL, FACTS_FILE, ITEMS_FILE, TARGET

HARM = "drop of the gold answer's log-probability among the options (nats an item)"
MATCHED = "the matched random perturbation"
DRAWS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Responses:
    """Every item of one ability under one family of perturbation of one cluster."""

    cluster: str
    ability: str
    family: str
    doses: tuple[float, ...]
    base: Float64[np.ndarray, "item"]
    """Log-probability of the gold answer among the options, unperturbed."""
    target: Float64[np.ndarray, "dose item"]
    control: Float64[np.ndarray, "dose item"] | None
    """The mean over the draws of the control; None for the perturbation of everything, which has no control."""
    base_correct: Float64[np.ndarray, "item"]
    target_correct: Float64[np.ndarray, "dose item"]
    chance: float
    matched: str

    @property
    def harm(self) -> Float64[np.ndarray, "dose item"]:
        """How much each item lost at each dose (nats); positive = worse."""
        return np.asarray(self.base - self.target)

    @property
    def control_harm(self) -> Float64[np.ndarray, "dose item"]:
        """The same under the control; zero where there is none."""
        return np.zeros_like(self.target) if self.control is None else np.asarray(self.base - self.control)

    @property
    def beyond(self) -> Float64[np.ndarray, "dose item"]:
        """Harm minus the control's."""
        return np.asarray(self.harm - self.control_harm)


def read_responses(folder: Path, *, cluster: str, family: str) -> list[Responses]:
    """The responses of every ability in one step's folder; none if the perturbation could not be tried."""
    if not read_json(folder / FACTS_FILE)["tried"]:
        return []
    frame = pl.read_parquet(folder / ITEMS_FILE)
    matched = read_json(folder / FACTS_FILE)["matched"]
    suites = frame["suite"].unique(maintain_order=True).to_list()
    return [_responses(frame.filter(suite=suite), cluster, suite, family, matched) for suite in suites]


def responses_without_facts(folder: Path, *, cluster: str, family: str) -> list[Responses]:
    """The responses of a step that has only items (growing shares of tokens)."""
    frame = pl.read_parquet(folder / ITEMS_FILE)
    if frame.filter(pl.col("arm") != BASE).is_empty():
        return []
    suites = frame["suite"].unique(maintain_order=True).to_list()
    return [_responses(frame.filter(suite=suite), cluster, suite, family, "") for suite in suites]


def _responses(frame: pl.DataFrame, cluster: str, suite: str, family: str, matched: str) -> Responses:
    base = frame.filter(arm=BASE)
    doses = tuple(sorted(frame.filter(arm=TARGET)["dose"].unique().to_list()))
    has_control = not frame.filter(arm=CONTROL).is_empty()
    return Responses(
        cluster=cluster,
        ability=suite,
        family=family,
        doses=doses,
        base=base["margin"].to_numpy(),
        target=_stack(frame, base, TARGET, doses, "margin"),
        control=_stack(frame, base, CONTROL, doses, "margin") if has_control else None,
        base_correct=base["correct"].fill_null(0.0).to_numpy(),
        target_correct=_stack(frame, base, TARGET, doses, "correct"),
        chance=float(base["chance"].fill_null(0.0).to_numpy().mean()),
        matched=matched,
    )


def _stack(
    frame: pl.DataFrame, base: pl.DataFrame, arm: str, doses: Sequence[float], column: str
) -> Float64[np.ndarray, "dose item"]:
    """One row a dose, items in the order of the base, mean over draws; a missing item is an error, never a gap."""
    keys = ["task", "item"]
    rows = []
    for dose in doses:
        mine = frame.filter(arm=arm, dose=dose).group_by(keys).agg(pl.col("margin", "correct").mean())
        found = base.select(keys).join(mine, on=keys, how="left", maintain_order="left")
        if found["margin"].null_count() or len(found) != len(base):
            raise InputError(f"dose {dose} of the {arm} arm lacks items of the base; compute it again.")
        rows.append(found[column].fill_null(0.0).to_numpy())
    return np.stack(rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyFinding:
    """What one family of perturbation of one cluster did to one ability."""

    responses: Responses
    harm: tuple[Effect, ...]
    """At each dose, against the unperturbed model."""
    control_harm: tuple[Effect, ...]
    beyond: Effect
    """Mean over the doses of harm minus the control's, paired by item."""
    p: float
    """Two-sided, sign flips of items."""
    impact: Impact
    """Of the accuracy at the largest dose."""
    shape: DoseResponse
    threshold: ThresholdTest | None
    """None with too few doses."""


def find_family(responses: Responses, *, seed: int) -> FamilyFinding:
    """Everything about one family on one cell."""
    averaged, control = responses.harm.mean(0), responses.control_harm.mean(0)
    doses = np.array([0.0, *responses.doses])
    curve = np.vstack([np.zeros_like(responses.base), responses.harm])
    return FamilyFinding(
        responses=responses,
        harm=_by_dose(responses.harm, seed),
        control_harm=() if responses.control is None else _by_dose(responses.control_harm, seed),
        beyond=paired_difference(
            averaged, control, seed=seed, unit="item", control_name=MATCHED, metric=HARM, draws=DRAWS
        ),
        p=paired_permutation(averaged, control, seed=seed, draws=DRAWS),
        impact=impact(
            responses.base_correct, responses.target_correct[-1], seed=seed, chance=responses.chance, draws=DRAWS
        ),
        shape=dose_response(doses, curve, seed=seed, metric=HARM, draws=DRAWS // 2),
        threshold=threshold_test(doses, curve, seed=seed, draws=DRAWS // 4) if len(doses) >= FEWEST_DOSES else None,
    )


def _by_dose(table: Float64[np.ndarray, "dose item"], seed: int) -> tuple[Effect, ...]:
    return tuple(
        bootstrap_mean(row, seed=seed, unit="item", control_name="unperturbed", metric=HARM, draws=DRAWS)
        for row in table
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell of the matrix: all families of perturbation of a cluster, on one ability."""

    cluster: str
    ability: str
    families: tuple[FamilyFinding, ...]
    phi: Effect
    """Median over families and doses of harm minus the control's; the interval resamples items."""
    mean_ais: float | None
    """Source 001's formula: mean over all configurations of the raw AIS of the accuracy; None if accuracy is 0."""
    mean_ais_corrected: float | None
    """The same with chance subtracted; None if the accuracy is not told from chance."""
    agreement: float
    """Share of the configurations with the sign of the median."""


def find_cells(families: Sequence[FamilyFinding], *, seed: int) -> list[Cell]:
    """Cells in the order in which clusters and abilities first come."""
    places = dict.fromkeys((one.responses.cluster, one.responses.ability) for one in families)
    return [
        _cell(tuple(one for one in families if (one.responses.cluster, one.responses.ability) == place), seed)
        for place in places
    ]


def _cell(families: tuple[FamilyFinding, ...], seed: int) -> Cell:
    first = families[0].responses
    table = np.concatenate([one.responses.beyond for one in families])
    phi = float(np.median(table.mean(1)))
    weights = np.concatenate(list(item_weights(table.shape[1], None, seed=seed, draws=DRAWS)))
    drawn = np.median(table @ weights.T, axis=0)
    low, high = (float(value) for value in np.percentile(drawn, [2.5, 97.5]))
    before, after = float(first.base_correct.mean()), _accuracies(families)
    corrected = [corrected_ais(before, value, chance=first.chance) for value in after]
    return Cell(
        cluster=first.cluster,
        ability=first.ability,
        families=families,
        phi=Effect(
            estimate=phi,
            low=min(low, phi),
            high=max(high, phi),
            n=table.shape[1],
            unit="item",
            control=MATCHED,
            metric=HARM,
        ),
        mean_ais=_mean([ais(before, value) for value in after]),
        mean_ais_corrected=_mean(corrected) if accuracy_of(first).low > first.chance else None,
        agreement=float((np.sign(table.mean(1)) == np.sign(phi)).mean()),
    )


def _accuracies(families: Sequence[FamilyFinding]) -> list[float]:
    """The accuracy under every configuration."""
    return [float(row.mean()) for one in families for row in one.responses.target_correct]


def _mean(values: Sequence[float | Undefined]) -> float | None:
    """The mean; None if one of them does not exist."""
    numbers = [value for value in values if not isinstance(value, Undefined)]
    return float(np.mean(numbers)) if numbers and len(numbers) == len(values) else None


def accuracy_of(responses: Responses) -> Effect:
    """The accuracy of the unperturbed model."""
    return bootstrap_mean(
        responses.base_correct, seed=0, unit="item", control_name="none", metric="accuracy", draws=DRAWS
    )


def matrix_of(families: Sequence[FamilyFinding], *, seed: int) -> InfluenceMatrix:
    """Φ over all configurations with the control's effect taken off, and its q-values over the matrix."""
    records = [
        InfluenceRecord(
            cluster=one.responses.cluster,
            ability=one.responses.ability,
            family=one.responses.family,
            setting=f"dose {dose:g}",
            estimate=float(harm.mean()),
            p=paired_permutation(harm, control, seed=seed, draws=DRAWS),
            control=float(control.mean()),
        )
        for one in families
        for dose, harm, control in zip(one.responses.doses, one.responses.harm, one.responses.control_harm, strict=True)
    ]
    return influence_matrix(records, subtract_control=True)


def family_q(families: Sequence[FamilyFinding]) -> dict[tuple[str, str, str], float]:
    """Benjamini-Hochberg over every (cluster, ability, family)."""
    adjusted = benjamini_hochberg(np.array([one.p for one in families]))
    return {
        (one.responses.cluster, one.responses.ability, one.responses.family): float(q)
        for one, q in zip(families, adjusted, strict=True)
    }
