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
    influence_matrix,
    paired_difference,
)
from imprint.studies.ability_perturbations import DOSES, INFLUENCE_FILE, AbilityInfluence
from imprint.studies.ability_training import AbilityTraining, accuracies_of

WORLD = "four abilities"
EVERYTHING = "mean of all perturbations"
"""Source 001's Φ: every family, site and dose in one mean."""
TRUTH = tuple(range(len(KINDS)))
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
        """One cell with its interval over paired pipeline seeds (2 or more)."""
        return paired_difference(
            self.untouched[:, ability],
            self.without[kind, :, ability],
            seed=0,
            unit="pipeline seed",
            control_name=f"the same run without {KINDS[kind]}",
            metric=f"{ABILITIES[ability]}, share above chance",
        )

    def lead(self, kind: int) -> Float64[np.ndarray, " seed"]:
        """For every seed, the loss of the kind's own ability minus the largest other loss of its row and its column.

        Trust: the largest of six noisy losses leans upwards, so the lead is too small rather than too large.
        """
        lost = self.untouched[None] - self.without
        row, column = np.delete(lost[kind], kind, axis=1), np.delete(lost[:, :, kind], kind, axis=0).T
        return np.asarray(lost[kind, :, kind] - np.concatenate([row, column], axis=1).max(1))

    def lead_effect(self, kind: int) -> Effect:
        """The mean lead with its interval over paired pipeline seeds (2 or more)."""
        lead = self.lead(kind)
        return paired_difference(
            lead,
            np.zeros_like(lead),
            seed=0,
            unit="pipeline seed",
            control_name="the largest other loss of its row and column",
            metric=f"{ABILITIES[kind]}, share above chance",
        )


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
