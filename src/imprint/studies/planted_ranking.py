"""AT-MDA-4: every ranking in a world with two hard negatives; the right probes must pass, the wrong ones must fail."""

from pathlib import Path

import numpy as np
import polars as pl

from imprint.attribution import CONSENSUS, Attribution, ranking
from imprint.corpus import BOILERPLATE, NOISE, NOVEL_REPEATS, Packed, WorldRows
from imprint.mechanisms import HEADS_FILE, TRAJECTORY_FILE
from imprint.models import Train
from imprint.runs import Executor, Reporter, Store
from imprint.stats import auc, top_purity
from imprint.studies.mechanism.metrics import STRENGTH
from imprint.studies.planted_training import PlantedTraining
from imprint.studies.scorecard import Row

GATE = 0.9
"""AUC that a right method must reach against every hard negative, and that each wrong one must miss somewhere."""
RIGHT = (CONSENSUS, "log_prob")
WRONG = ("off_by_one", "log_prob/dot", "loss", "repeated bigrams")
OTHER = ("contrastive", "attention", "gradient norm", "embedding", "BM25", "random")
STRENGTH_TARGET = 0.15
"""Prefix matching at the checkpoint where influence is taken: early inside the transition (.08 to .4)."""


def ranking_rows(
    training: PlantedTraining, seeds: int, scored_rows: int, store: Store, executor: Executor, reporter: Reporter
) -> list[Row]:
    """The scorecard rows of every method at the transition of each seed."""
    runs = [training.run(seed) for seed in range(seeds)]
    units = sum(run.updates for run in runs)
    executor.run(runs, store, progress=reporter, stage=f"planted world {training.name}: train", units=units)
    checkpoints = sum(len(run.checkpoints) for run in runs)
    stage = f"planted world {training.name}: measure"
    measured = [training.measured(run) for run in runs]
    folders = executor.run(measured, store, progress=reporter, stage=stage, units=checkpoints)
    scored = WorldRows(world=training.world, rows=scored_rows, seed=1234)
    rows = []
    for run, folder in zip(runs, folders, strict=True):
        with reporter.stage(f"planted world {training.name}: attribute, seed {run.seed}", 1) as advance:
            rows += _method_rows(training, run, folder, scored, store)
            advance(1)
    return rows


def _method_rows(training: PlantedTraining, run: Train, folder: Path, sample: WorldRows, store: Store) -> list[Row]:
    step, head = early_transition(folder)
    attribution = Attribution(run=run, step=step, packed=sample, head=head, probe=training.probe, mutant=True)
    scored = store.get(attribution)
    domains = Packed.load(store.get(sample)).row_domains
    cause, place = domains == NOVEL_REPEATS, f"{head} of seed {run.seed} at step {step}"

    def row(method: str, question: str, metric: str, value: float, gate: str = "", ok: bool | None = None) -> Row:
        return Row(
            world=training.name,
            method=method,
            question=f"{question}, {place}",
            metric=metric,
            value=float(value),
            gate=gate,
            passed=None if ok is None else bool(ok),
        )

    rows = []
    for method in (*RIGHT, *WRONG, *OTHER):
        values = ranking(scored, method)
        against = {kind: _auc_against(values, cause, domains == kind) for kind in (NOISE, BOILERPLATE)}
        rows += [row(method, f"cause against {kind}", "AUC", value) for kind, value in against.items()]
        gate = f">= {GATE}" if method in RIGHT else f"< {GATE}" if method in WRONG else ""
        worst = min(against.values())
        passed = worst >= GATE if method in RIGHT else worst < GATE if method in WRONG else None
        rows.append(row(method, "cause against both hard negatives", "lowest AUC", worst, gate, passed))
    best = ranking(scored, CONSENSUS)
    purity = top_purity(best, cause, 0.1)
    rows.append(row(CONSENSUS, "top decile is the cause", "purity", purity, ">= 1.0", purity >= 1.0))
    null = auc(best, np.random.default_rng(0).permutation(cause))
    margin = float(4 * (1 / (12 * cause.sum()) + 1 / (12 * (~cause).sum())) ** 0.5)
    rows.append(row(CONSENSUS, "null: shuffled labels", "AUC", null, f"0.5 ± {margin:.2f}", abs(null - 0.5) < margin))
    return rows


def _auc_against(values: np.ndarray, cause: np.ndarray, negative: np.ndarray) -> float:
    kept = cause | negative
    return auc(values[kept], cause[kept])


def early_transition(folder: Path) -> tuple[int, str]:
    """The checkpoint whose strength is nearest to the target on a log scale, and the strongest head at the end."""
    curve = pl.read_parquet(folder / TRAJECTORY_FILE).filter(pl.col("metric") == STRENGTH).sort("step")
    steps, strength = curve["step"].to_numpy(), curve["value"].to_numpy()
    before = slice(0, int(strength.argmax()) + 1)
    step = int(steps[before][np.abs(np.log(np.maximum(strength[before], 1e-6) / STRENGTH_TARGET)).argmin()])
    heads = pl.read_parquet(folder / HEADS_FILE).filter(pl.col("layer") > 0)
    last = heads.filter(pl.col("step") == heads["step"].max()).sort(STRENGTH, descending=True).row(0, named=True)
    return step, f"L{last['layer']}.H{last['head']}"
