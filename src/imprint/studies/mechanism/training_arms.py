"""Interventions on how a study's models are trained (components, optimiser): each arm beside the untouched runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from imprint.interventions.training import TrainingArm
from imprint.runs import Executor, Reporter, Store, silent
from imprint.stats import benjamini_hochberg
from imprint.studies.mechanism.arms import corpora, measured, seeds, untouched_run
from imprint.studies.mechanism.comparison import ArmEffect, arm_effect, copying_bar, find_onsets, read_trajectories
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import FINAL_METRICS, KEEP, LOG_ONSET


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingEffect:
    """What an intervention on training did to one metric, over pipeline seeds; `q` is corrected over all of them."""

    found: ArmEffect
    q: float

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words."""
        return {
            "arm": self.found.arm,
            "p": self.found.p,
            "q": self.q,
            "note": self.found.note,
            **asdict(self.found.effect),
        }


def train_under(
    study: MechanismStudy,
    arms: Sequence[TrainingArm],
    out: Path,
    *,
    executor: Executor,
    reporter: Reporter = silent,
) -> list[TrainingEffect]:
    """Train every seed under every arm and compare with the untouched runs of the same seeds, which are reused if there.

    Checkpoints are measured under the edits that held in their last update.

    Raises:
        ComponentNotFound: an arm edits a component that the model does not have.
    """
    store, data = Store(out / "store"), corpora(study)
    runs = {(KEEP, seed): untouched_run(study, data.train, seed) for seed in seeds(study)}
    runs |= {(arm.name, seed): arm.applied(runs[KEEP, seed]) for arm in arms for seed in seeds(study)}
    store.get(data.train)
    units = sum(run.updates for run in runs.values())
    executor.run(list(runs.values()), store, progress=reporter, stage="train under interventions", units=units)
    panels = [measured(study, run, data) for run in runs.values()]
    checkpoints = sum(len(run.checkpoints) for run in runs.values())
    found = executor.run(panels, store, progress=reporter, stage="measure", units=checkpoints)
    table = read_trajectories(dict(zip(runs, found, strict=True)))
    chance, items = copying_bar(study.probe, data.train.context)
    onsets = find_onsets(table, chance=chance, items=items)
    known = [metric for metric in FINAL_METRICS if metric in set(table["metric"].unique())]
    effects = [
        arm_effect(table, onsets, arm.name, KEEP, metric, list(seeds(study)))
        for arm in arms
        for metric in (LOG_ONSET, *known)
    ]
    corrected = benjamini_hochberg(np.array([one.p for one in effects]))
    return [TrainingEffect(found=one, q=float(q)) for one, q in zip(effects, corrected, strict=True)]
