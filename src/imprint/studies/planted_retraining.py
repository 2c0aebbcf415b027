"""AT-MDA-5: training without the planted cause, or without the decile that influence ranks highest, against controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from imprint.attribution import Attribution, TopRows
from imprint.corpus import NOVEL_REPEATS
from imprint.emergence import Onset, emergence_threshold, onset
from imprint.interventions.data import EditedStream
from imprint.mechanisms import TRAJECTORY_FILE, Trajectory
from imprint.models import Train
from imprint.runs import Executor, Reporter, Step, Store
from imprint.stats import paired_difference, paired_permutation
from imprint.studies.mechanism.comparison import copying_bar
from imprint.studies.mechanism.metrics import COPYING, STRENGTH
from imprint.studies.planted_ranking import early_transition
from imprint.studies.planted_rows import InnocentRows, KindRows, RandomRows
from imprint.studies.planted_training import PlantedTraining
from imprint.studies.scorecard import Row

DECILE = 0.1
LEAST_DELAY = 0.3
"""Deleting a tenth of all rows, all of it the cause, must delay emergence by at least this much."""
LARGEST_SHIFT = 0.15
"""Deleting as many random rows must move emergence by less than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Arm:
    name: str
    rows: Step
    gate: str


def retraining_rows(
    training: PlantedTraining, seeds: int, store: Store, executor: Executor, reporter: Reporter
) -> list[Row]:
    """The scorecard rows of every arm, over `seeds` paired seeds that branch well before emergence."""
    runs = [training.run(seed) for seed in range(seeds)]
    references = _train([training.measured(run) for run in runs], training.name, store, executor, reporter)
    kept = [_onset(folder, folder, training) for folder in references]
    every = training.checkpoint_every
    first = max(every, int(0.4 * min(one.step for one in kept)) // every * every)
    step, head = early_transition(references[0])
    attribution = Attribution(run=runs[0], step=step, packed=training.rows, head=head, probe=training.probe)
    stage = f"planted world {training.name}: attribute"
    units = training.rows.rows + min(training.rows.rows, attribution.options.max_rows)
    executor.run([attribution], store, progress=reporter, stage=stage, units=units)
    arms = [*_arms(training), *_ranked_arms(attribution)]
    edited = [training.measured(_branch(run, arm.rows, first)) for arm in arms for run in runs]
    folders = _train(edited, f"{training.name}, edited", store, executor, reporter)
    rows = []
    for number, arm in enumerate(arms):
        mine = folders[number * seeds : (number + 1) * seeds]
        onsets = [_onset(folder, reference, training) for folder, reference in zip(mine, references, strict=True)]
        rows += _arm_rows(training, arm, kept, onsets, mine)
    return rows


def _arms(training: PlantedTraining) -> list[_Arm]:
    packed = training.rows
    cause = KindRows(packed=packed, kind=NOVEL_REPEATS)
    tenth = KindRows(packed=packed, kind=NOVEL_REPEATS, fraction=DECILE)
    return [
        _Arm(name="delete all of the cause", rows=cause, gate="never"),
        _Arm(name="delete a tenth, all of it the cause", rows=tenth, gate="later"),
        _Arm(name="delete a tenth at random", rows=RandomRows(packed=packed, like=tenth, seed=0), gate="same"),
    ]


def _ranked_arms(attribution: Attribution) -> list[_Arm]:
    """The decile that influence ranks highest, and as many rows of the same loss that are not the cause."""
    top = TopRows(attribution=attribution, fraction=DECILE)
    innocent = InnocentRows(treated=top, kind=NOVEL_REPEATS, losses=attribution)
    return [
        _Arm(name="delete the top decile by influence", rows=top, gate="later"),
        _Arm(name="delete a tenth of the same loss, none of it the cause", rows=innocent, gate="same"),
    ]


def _train(runs: Sequence[Trajectory], name: str, store: Store, executor: Executor, reporter: Reporter) -> list[Path]:
    trained = [measured.run for measured in runs]
    units = sum(run.updates for run in trained)
    executor.run(trained, store, progress=reporter, stage=f"planted world {name}: train", units=units)
    checkpoints = sum(len(run.checkpoints) for run in trained)
    stage = f"planted world {name}: measure"
    return executor.run(list(runs), store, progress=reporter, stage=stage, units=checkpoints)


def _branch(run: Train, rows: Step, first: int) -> Train:
    edited = EditedStream(base=run.stream, rows=rows, kind="delete", first=first, last=run.last_step, seed=run.seed)
    return run.model_copy(update={"stream": edited, "trunk": run, "first_step": first, "keep_moments": False})


def _arm_rows(
    training: PlantedTraining, arm: _Arm, kept: Sequence[Onset], edited: Sequence[Onset], folders: Sequence[Path]
) -> list[Row]:
    """Nothing passes unless every untouched run emerged; a run that ended before emergence counts at its last step."""
    before, after = (np.log([one.step for one in runs]) for runs in (kept, edited))
    effect = paired_difference(after, before, seed=0, unit="pipeline seed", control_name="untouched", metric="onset")
    final = float(np.mean([_curve(folder, STRENGTH)["value"][-1] for folder in folders]))
    shift = float(np.expm1(effect.estimate))
    late, never = (sum(one.censored for one in runs) for runs in (kept, edited))
    words = f"{effect.n} seeds [{np.expm1(effect.low):+.2f}, {np.expm1(effect.high):+.2f}], {never} never emerged"
    words += f"; {late} untouched runs never emerged" if late else ""
    passed = {"never": final < 0.1, "later": shift >= LEAST_DELAY, "same": abs(shift) < LARGEST_SHIFT and not never}
    bars = {"never": "", "later": f">= {LEAST_DELAY}", "same": f"within ± {LARGEST_SHIFT}"}
    p = paired_permutation(after, before, seed=0, alternative="greater")

    def row(question: str, metric: str, value: float, gate: str = "", ok: bool | None = None) -> Row:
        verdict = None if ok is None else bool(ok and not late)
        return Row(
            world=training.name,
            method=arm.name,
            question=question,
            metric=metric,
            value=float(value),
            gate=gate,
            passed=verdict,
        )

    gated = arm.gate == "never"
    return [
        row(f"shift of emergence over {words}", "relative", shift, bars[arm.gate], None if gated else passed[arm.gate]),
        row(
            "strength at the end, mean over seeds",
            "attention",
            final,
            "< 0.1" if gated else "",
            passed["never"] if gated else None,
        ),
        row("delay against the untouched runs, one-sided", "permutation p", p),
    ]


def _curve(folder: Path, metric: str) -> pl.DataFrame:
    return pl.read_parquet(folder / TRAJECTORY_FILE).filter(pl.col("metric") == metric).sort("step")


def _onset(folder: Path, reference: Path, training: PlantedTraining) -> Onset:
    strength, copying = _curve(folder, STRENGTH), _curve(folder, COPYING)
    chance, items = copying_bar(training.probe, training.world.context)
    return onset(
        strength["step"].to_list(),
        strength["value"].to_list(),
        copying["value"].to_list(),
        threshold=emergence_threshold(_curve(reference, STRENGTH)["value"].to_list()),
        chance=chance,
        items=items,
    )
