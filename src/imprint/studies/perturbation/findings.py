"""From items to findings: what each perturbation did to each ability, beside its control, and the Data Influence Matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64

from imprint.errors import InputError
from imprint.runs import derive, read_json
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
    paired_permutation,
    threshold_test,
)
from imprint.stats.item_weights import item_weights
from imprint.stats.threshold import FEWEST_DOSES
from imprint.stats.undefined import Undefined
from imprint.studies.perturbation.draws import SIMULATIONS, draw_noise, median_over, residuals, two_sided
from imprint.studies.perturbation.perturbed import BASE, CONTROL, FACTS_FILE, ITEMS_FILE, TARGET

HARM = "drop of the gold answer's log-probability among the options (nats an item)"
MATCHED = "the matched random perturbation"
DRAWS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Responses:
    """Every question of one ability under one family of perturbation of one cluster.

    A unit is a question, or a group of questions that belong together (the mirrors of COPA, the twins of a Winograd
    schema): their mean. Accuracies are those of single items.
    """

    cluster: str
    ability: str
    family: str
    doses: tuple[float, ...]
    base: Float64[np.ndarray, "unit"]
    """Log-probability of the gold answer among the options, unperturbed."""
    target: Float64[np.ndarray, "dose unit"]
    compared: tuple[int, ...]
    """Places of the doses at which controls were drawn."""
    control: Float64[np.ndarray, "draw compared unit"] | None
    """None for the perturbation of everything, which has no control."""
    base_correct: Float64[np.ndarray, "item"]
    target_correct: Float64[np.ndarray, "dose item"]
    chance: float
    matched: str

    @property
    def harm(self) -> Float64[np.ndarray, "dose unit"]:
        """How much each unit lost at each dose (nats); positive = worse."""
        return np.asarray(self.base - self.target)

    @property
    def control_harm(self) -> Float64[np.ndarray, "compared unit"]:
        """The same under the control, mean over its draws, at the doses that are compared; zero where there is none."""
        if self.control is None:
            return np.zeros((len(self.compared), len(self.base)))
        return np.asarray(self.base - self.control.mean(0))

    @property
    def beyond(self) -> Float64[np.ndarray, "compared unit"]:
        """Harm minus the control's, at the doses that are compared."""
        return np.asarray(self.harm[list(self.compared)] - self.control_harm)

    @property
    def draws(self) -> Float64[np.ndarray, "draw compared"] | None:
        """Mean harm of every draw of the control."""
        return None if self.control is None else np.asarray((self.base - self.control).mean(-1))


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
    drawn = frame.filter(arm=CONTROL)
    compared = tuple(place for place, dose in enumerate(doses) if dose in set(drawn["dose"].to_list()))
    target = [_margins(frame.filter(arm=TARGET, dose=dose), base) for dose in doses]
    draws = [
        np.stack([_margins(drawn.filter(draw=draw, dose=doses[place]), base) for place in compared])
        for draw in sorted(drawn["draw"].unique().to_list())
    ]
    return Responses(
        cluster=cluster,
        ability=suite,
        family=family,
        doses=doses,
        base=_margins(base, base),
        target=np.stack(target),
        compared=compared or tuple(range(len(doses))),
        control=np.stack(draws) if draws else None,
        base_correct=base["correct"].to_numpy(),
        target_correct=np.stack([_items(frame.filter(arm=TARGET, dose=dose), base, "correct") for dose in doses]),
        chance=float(base["chance"].fill_null(0.0).to_numpy().mean()),
        matched=matched,
    )


def _items(frame: pl.DataFrame, base: pl.DataFrame, column: str) -> Float64[np.ndarray, "item"]:
    """One value an item in the order of the base; a missing item is an error, never a gap."""
    keys = ["task", "item"]
    found = base.select(keys).join(frame, on=keys, how="left", maintain_order="left")
    if found["margin"].null_count() or len(found) != len(base):
        raise InputError("an arm lacks items of the unperturbed model; compute it again.")
    return found[column].to_numpy()


def _margins(frame: pl.DataFrame, base: pl.DataFrame) -> Float64[np.ndarray, "unit"]:
    """The mean margin of each group of questions."""
    _, place = np.unique(
        [f"{task}/{group}" for task, group in base.select("task", "group").iter_rows()], return_inverse=True
    )
    return np.asarray(np.bincount(place, weights=_items(frame, base, "margin")) / np.bincount(place))


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyFinding:
    """What one family of perturbation of one cluster did to one ability."""

    responses: Responses
    harm: tuple[Effect, ...]
    """At each dose, against the unperturbed model."""
    control_harm: tuple[Effect, ...]
    """Of the control's mean, at the doses that are compared."""
    beyond: Effect
    """Mean over the compared doses of harm minus the control's; the interval resamples questions and draws of the control."""
    p: float
    """Two-sided: how often a perturbation that is itself a random draw differs as much from the mean of the draws."""
    impact: Impact
    """Of the accuracy at the largest dose."""
    shape: DoseResponse
    threshold: ThresholdTest | None
    """None with too few doses."""


Pools = Mapping[tuple[str, str], Float64[np.ndarray, "residual compared"]]
"""For each (ability, family) the residuals of all draws of all clusters' controls."""


def pools_of(responses: Sequence[Responses]) -> Pools:
    """The spread between draws of controls, pooled over clusters."""
    found: dict[tuple[str, str], list[Float64[np.ndarray, "draw compared"]]] = {}
    for one in responses:
        if one.draws is not None:
            found.setdefault((one.ability, one.family), []).append(residuals(one.draws))
    return {place: np.concatenate(parts) for place, parts in found.items()}


def find_family(responses: Responses, pools: Pools, *, seed: int) -> FamilyFinding:
    """Everything about one family on one cell."""
    doses = np.array([0.0, *responses.doses])
    curve = np.vstack([np.zeros_like(responses.base), responses.harm])
    beyond, p = _beyond(responses, pools, seed)
    return FamilyFinding(
        responses=responses,
        harm=_by_dose(responses.harm, seed),
        control_harm=() if responses.control is None else _by_dose(responses.control_harm, seed),
        beyond=beyond,
        p=p,
        impact=impact(
            responses.base_correct, responses.target_correct[-1], seed=seed, chance=responses.chance, draws=DRAWS
        ),
        shape=dose_response(doses, curve, seed=seed, metric=HARM, draws=DRAWS // 2),
        threshold=threshold_test(doses, curve, seed=seed, draws=DRAWS // 4) if len(doses) >= FEWEST_DOSES else None,
    )


def _beyond(responses: Responses, pools: Pools, seed: int) -> tuple[Effect, float]:
    noise = _noise(responses, pools, seed).mean(1)
    sampled = _resampled(responses, seed).mean(1)
    estimate = float(responses.beyond.mean())
    p = two_sided(estimate, noise) if responses.control is not None else _sign_flip(responses, seed)
    return _effect(estimate, sampled + noise, responses), p


def _sign_flip(responses: Responses, seed: int) -> float:
    """Without a control the question is only whether there is any harm."""
    averaged = responses.harm.mean(0)
    return paired_permutation(averaged, np.zeros_like(averaged), seed=seed, draws=DRAWS)


def _noise(responses: Responses, pools: Pools, seed: int) -> Float64[np.ndarray, "simulation compared"]:
    """What the choice of the control's draws adds to the uncertainty, and all there is under the null."""
    if responses.control is None:
        return np.zeros((SIMULATIONS, len(responses.compared)))
    rng = np.random.default_rng(derive(seed, responses.cluster, responses.ability, responses.family))
    return draw_noise(pools[responses.ability, responses.family], len(responses.control), rng=rng)


def _resampled(responses: Responses, seed: int) -> Float64[np.ndarray, "simulation compared"]:
    """The harm beyond the control over resampled questions; the same resamples for every family of an ability."""
    weights = np.concatenate(list(item_weights(len(responses.base), None, seed=seed, draws=SIMULATIONS)))
    return np.asarray(weights @ responses.beyond.T)


def _effect(estimate: float, simulated: Float64[np.ndarray, "simulation"], responses: Responses) -> Effect:
    low, high = (float(value) for value in np.percentile(simulated, [2.5, 97.5]))
    drawn = 0 if responses.control is None else len(responses.control)
    return Effect(
        estimate=estimate,
        low=min(low, estimate),
        high=max(high, estimate),
        n=len(responses.base),
        unit="item",
        control=MATCHED,
        metric=HARM,
        note=f"questions and {drawn} draws of each control are resampled" if drawn else "",
    )


def _by_dose(table: Float64[np.ndarray, "dose unit"], seed: int) -> tuple[Effect, ...]:
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
    """All of them, also those that do not count in `phi`."""
    phi: Effect
    """Median over the families that count and the compared doses of harm minus the control's."""
    p: float
    """Of this median, under the null that every perturbation is one more draw of its control."""
    mean_ais: float | None
    """Source 001's formula: mean over all configurations of the raw AIS of the accuracy; None if accuracy is 0."""
    mean_ais_corrected: float | None
    """The same with chance subtracted; None if the accuracy is not told from chance."""
    agreement: float
    """Share of the configurations with the sign of the median."""

    @property
    def counted(self) -> tuple[FamilyFinding, ...]:
        """The families that count: all but gradient signs, which use the answers, unless nothing else was tried."""
        kept = tuple(one for one in self.families if one.responses.family != "sign")
        return kept or self.families


def find_cells(families: Sequence[FamilyFinding], pools: Pools, *, seed: int) -> list[Cell]:
    """Cells in the order in which clusters and abilities first come."""
    places = dict.fromkeys((one.responses.cluster, one.responses.ability) for one in families)
    return [
        _cell(tuple(one for one in families if (one.responses.cluster, one.responses.ability) == place), pools, seed)
        for place in places
    ]


def _cell(families: tuple[FamilyFinding, ...], pools: Pools, seed: int) -> Cell:
    first = families[0].responses
    counted = [one for one in families if one.responses.family != "sign"] or list(families)
    means = np.concatenate([one.responses.beyond.mean(1) for one in counted])
    phi = float(np.median(means))
    noise = [_noise(one.responses, pools, seed) for one in counted]
    sampled = [_resampled(one.responses, seed) for one in counted]
    both = [one + other for one, other in zip(noise, sampled, strict=True)]
    before, after = float(first.base_correct.mean()), _accuracies(families)
    corrected = [corrected_ais(before, value, chance=first.chance) for value in after]
    return Cell(
        cluster=first.cluster,
        ability=first.ability,
        families=families,
        phi=_effect(phi, median_over(both), first),
        p=two_sided(phi, median_over(noise)),
        mean_ais=_mean([ais(before, value) for value in after]),
        mean_ais_corrected=_mean(corrected) if accuracy_of(first).low > first.chance else None,
        agreement=float((np.sign(means) == np.sign(phi)).mean()),
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


def matrix_of(cells: Sequence[Cell]) -> InfluenceMatrix:
    """Φ over the configurations that count, with the control's effect taken off; p of each cell's median, q over the matrix."""
    records = [
        InfluenceRecord(
            cluster=cell.cluster,
            ability=cell.ability,
            family=one.responses.family,
            setting=f"dose {one.responses.doses[place]:g}",
            estimate=float(one.responses.harm[place].mean()),
            p=cell.p,
            control=float(control.mean()),
        )
        for cell in cells
        for one in cell.counted
        for place, control in zip(one.responses.compared, one.responses.control_harm, strict=True)
    ]
    matrix = influence_matrix(records, subtract_control=True)
    p = np.array([[_of(cells, row, column).p for column in matrix.abilities] for row in matrix.clusters])
    return replace(matrix, p=p, q=benjamini_hochberg(p))


def _of(cells: Sequence[Cell], cluster: str, ability: str) -> Cell:
    return next(cell for cell in cells if (cell.cluster, cell.ability) == (cluster, ability))


def family_q(families: Sequence[FamilyFinding]) -> dict[tuple[str, str, str], float]:
    """Benjamini-Hochberg over every (cluster, ability, family)."""
    adjusted = benjamini_hochberg(np.array([one.p for one in families]))
    return {
        (one.responses.cluster, one.responses.ability, one.responses.family): float(q)
        for one, q in zip(families, adjusted, strict=True)
    }
