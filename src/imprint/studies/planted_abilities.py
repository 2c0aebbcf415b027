"""AT-E2E: which data gave which ability, by retraining without each kind (Ψ, the truth) and by every cheap method (Φ)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64

from imprint.capabilities.abilities import ability_items
from imprint.corpus import ABILITIES, KINDS, AbilityRows, RowKind
from imprint.models import Train
from imprint.runs import Executor, Reporter, Store
from imprint.stats import (
    Effect,
    InfluenceMatrix,
    InfluenceRecord,
    assignment,
    influence_matrix,
    matched_p,
    matrix_correlation,
    paired_difference,
)
from imprint.studies.ability_perturbations import BASELINES, DOSES, INFLUENCE_FILE, AbilityInfluence
from imprint.studies.ability_training import AbilityTraining, accuracies_of
from imprint.studies.scorecard import Row

WORLD = "four abilities"
RETRAINING = "retraining without each kind"
EVERYTHING = "mean of all perturbations"
"""Source 001's Φ: every family, site and dose in one mean."""
TRUTH = tuple(range(len(KINDS)))
LEARNED = 0.5
"""Share of the way from chance to perfect that every ability must reach in every untouched run."""
CLUSTER_ROWS = 256
PERTURBED_ITEMS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletionTruth:
    """Ψ: what each ability loses when a kind is never trained on, as a share of the way from chance to perfect."""

    untouched: Float64[np.ndarray, "seed ability"]
    """Accuracy of the untouched runs, 0 = chance, 1 = perfect."""
    without: Float64[np.ndarray, "kind seed ability"]
    """The same for the runs without each kind."""

    @property
    def matrix(self) -> Float64[np.ndarray, "kind ability"]:
        """Ψ, positive where the ability is lost: the mean over seeds."""
        return np.asarray((self.untouched[None] - self.without).mean(1))

    def effect(self, kind: int, ability: int) -> Effect:
        """One cell with its interval over paired pipeline seeds."""
        return paired_difference(
            self.untouched[:, ability],
            self.without[kind, :, ability],
            seed=0,
            unit="pipeline seed",
            control_name=f"the same run without {KINDS[kind]}",
            metric=f"{ABILITIES[ability]}, share above chance",
        )


def abilities_rows(
    training: AbilityTraining, seeds: int, store: Store, executor: Executor, reporter: Reporter
) -> list[Row]:
    """The scorecard rows: Ψ over `seeds` pipelines, then every cheap Φ of the same untouched runs."""
    truth = deletion_truth(training, seeds, store, executor, reporter)
    phi = influence_records(training, seeds, store, executor, reporter)
    rows = truth_rows(truth)
    for family in (*DOSES, EVERYTHING, *BASELINES):
        rows += family_rows(phi, truth, family)
    return rows


def deletion_truth(
    training: AbilityTraining, seeds: int, store: Store, executor: Executor, reporter: Reporter
) -> DeletionTruth:
    """Train every seed untouched and without each kind (resumable), and ask all of them."""
    runs = [training.run(seed) for seed in range(seeds)]
    runs += [training.without(kind, seed) for kind in KINDS for seed in range(seeds)]
    units = sum(run.updates for run in runs)
    executor.run(runs, store, progress=reporter, stage=f"{WORLD}: train", units=units)
    asked = [training.asked(run) for run in runs]
    checkpoints = sum(len(run.checkpoints) for run in runs)
    folders = executor.run(asked, store, progress=reporter, stage=f"{WORLD}: ask", units=checkpoints)
    chances = np.array([ability_items(ability, count=1).chance for ability in ABILITIES])
    known = np.array([(accuracies_of(folder) - chances) / (1 - chances) for folder in folders])
    whole = known.reshape(1 + len(KINDS), seeds, len(ABILITIES))
    return DeletionTruth(untouched=whole[0], without=whole[1:])


def influence_records(
    training: AbilityTraining, seeds: int, store: Store, executor: Executor, reporter: Reporter
) -> pl.DataFrame:
    """Every method's cells for the untouched runs of all seeds."""
    rows = AbilityRows(world=training.world.model_copy(update={"shares": _equal()}), rows=CLUSTER_ROWS, seed=7)
    steps = [_influence(training, training.run(seed), rows) for seed in range(seeds)]
    units = seeds * len(KINDS) * len(steps[0].sites) * sum(map(len, DOSES.values()))
    folders = executor.run(steps, store, progress=reporter, stage=f"{WORLD}: perturb", units=units)
    return pl.concat([_read(folder, seed) for seed, folder in enumerate(folders)])


def _equal() -> dict[RowKind, float]:
    return {kind: 1 / len(KINDS) for kind in KINDS}


def _influence(training: AbilityTraining, run: Train, rows: AbilityRows) -> AbilityInfluence:
    return AbilityInfluence(run=run, world=training.world, packed=rows, items=min(training.items, PERTURBED_ITEMS))


def _read(folder: Path, seed: int) -> pl.DataFrame:
    return pl.read_parquet(folder / INFLUENCE_FILE).with_columns(seed=pl.lit(seed))


def family_matrix(table: pl.DataFrame, family: str, *, metric: str = "correct") -> InfluenceMatrix:
    """Φ of one family (or `EVERYTHING`) over all seeds, sites and doses, controls subtracted."""
    families = list(DOSES) if family == EVERYTHING else [family]
    chosen = table.filter(pl.col("family").is_in(families), pl.col("metric") == metric)
    records = [
        InfluenceRecord(
            cluster=one["cluster"],
            ability=one["ability"],
            family=one["family"],
            setting=f"{one['setting']}, seed {one['seed']}",
            estimate=one["estimate"],
            p=one["p"],
            low=one["low"],
            high=one["high"],
            control=one["control"],
        )
        for one in chosen.iter_rows(named=True)
    ]
    order = sorted(records, key=lambda one: (KINDS.index(one.cluster), ABILITIES.index(one.ability)))
    return influence_matrix(order, subtract_control=True)


def truth_rows(truth: DeletionTruth) -> list[Row]:
    """Ψ cell by cell, and the gates: everything was learned, and retraining gives back the planted permutation."""
    lowest = float(truth.untouched.min())
    found = assignment(truth.matrix)
    seeds = len(truth.untouched)
    over = f"over {seeds} seeds"
    rows = [
        _row("untouched", f"lowest ability {over}", "share above chance", lowest, f">= {LEARNED}", lowest >= LEARNED),
        _row(
            RETRAINING,
            f"kinds whose own ability loses most, both ways, {over}",
            "of 4",
            float(found.dominant if found.abilities == TRUTH else 0),
            "= 4",
            found.recovers(TRUTH),
        ),
        _row(RETRAINING, "mean loss of the caused minus all other abilities", "share above chance", found.margin),
        _row(RETRAINING, "planted match among all 24", "permutation p", matched_p(truth.matrix, TRUTH)),
    ]
    for kind in TRUTH:
        for ability in TRUTH:
            effect = truth.effect(kind, ability)
            words = f"loss of {ABILITIES[ability]} without {KINDS[kind]} [{effect.low:+.2f}, {effect.high:+.2f}]"
            gate = "> 0 by its interval" if kind == ability else ""
            passed = effect.low > 0 if kind == ability else None
            rows.append(_row(RETRAINING, words, "share above chance", effect.estimate, gate, passed))
    return rows


def family_rows(table: pl.DataFrame, truth: DeletionTruth, family: str) -> list[Row]:
    """What one cheap method recovers, without a gate: that is the finding."""
    rows = []
    for metric in ("correct", "log_prob") if family not in BASELINES else ("correct",):
        matrix = family_matrix(table, family, metric=metric)
        phi = matrix.mean
        name = "similarity" if family in BASELINES else "accuracy" if metric == "correct" else "log-prob"
        agreed = sum(column == row for row, column in enumerate(assignment(phi).abilities))
        rows += [
            _row(family, f"clusters matched with their own ability, {name}", "of 4", agreed),
            _row(family, f"own ability the largest of row and column, {name}", "of 4", _own(phi)),
        ]
        if family not in BASELINES:
            told = int(((np.diag(matrix.q) <= 0.05) & (np.diag(phi) > 0)).sum())
            rows.append(_row(family, f"own ability hurt more than by controls, q <= .05, {name}", "of 4", told))
        if np.ptp(phi) > 0:
            tied = matrix_correlation(phi, truth.matrix)
            rows.append(_row(family, f"rank correlation with retraining (p = {tied.p:.3f}), {name}", "rho", tied.rho))
    return rows


def _own(phi: Float64[np.ndarray, "kind ability"]) -> int:
    """Diagonal cells that are the largest of their row and of their column."""
    diagonal = np.diag(phi)
    return int(((diagonal == phi.max(1)) & (diagonal == phi.max(0)) & (np.ptp(phi, axis=1) > 0)).sum())


def _row(
    method: str, question: str, metric: str, value: float | int, gate: str = "", passed: bool | None = None
) -> Row:
    return Row(
        world=WORLD, method=method, question=question, metric=metric, value=float(value), gate=gate, passed=passed
    )
