"""One model of a study up to its attribution: untouched runs, the head, the window, and the influence on that head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from imprint.attribution import Attribution, TopRows
from imprint.corpus import Packed
from imprint.emergence import inside_transition
from imprint.errors import ImprintError
from imprint.mechanisms import LocateHeads, Trajectory
from imprint.runs import Executor, Reporter, Store, read_json
from imprint.studies.mechanism.arms import Corpora, corpora, measured, seeds, untouched_run
from imprint.studies.mechanism.comparison import curve, read_trajectories
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import COPYING, KEEP, STRENGTH

LEAST_STRENGTH = 0.2
"""Prefix matching that the reference run must reach somewhere, or there is no induction head to attribute."""
Runs = dict[tuple[str, int], Path]
"""Folders of trajectories by (arm, seed)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributedHead:
    """The head of one model, where and when it was found, and the step that scores every row's influence on it."""

    study: MechanismStudy
    """The study of this model alone."""
    data: Corpora
    untouched: Runs
    reference_seed: int
    transition: int
    """The checkpoint at which influence is computed."""
    window: tuple[int, int]
    locating: LocateHeads
    location: dict[str, Any]
    attribution: Attribution
    scored: Path
    packed: Packed

    @property
    def head(self) -> str:
        """The head's address."""
        return self.attribution.head

    @property
    def top(self) -> TopRows:
        """The rows with the highest influence, at the study's main share."""
        return TopRows(
            attribution=self.attribution, ranking=self.study.ranking, fraction=self.study.interventions.fraction
        )

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return self.study.architecture.parameters


def train_untouched_runs(
    study: MechanismStudy, data: Corpora, store: Store, executor: Executor, reporter: Reporter
) -> Runs:
    """Every seed without any edit, trained and measured."""
    runs = {(KEEP, seed): measured(study, untouched_run(study, data.train, seed), data) for seed in seeds(study)}
    return train_and_measure(runs, f"train: untouched runs{_at(study)}", store, executor, reporter)


def train_and_measure(
    runs: dict[tuple[str, int], Trajectory], stage: str, store: Store, executor: Executor, reporter: Reporter
) -> Runs:
    """Train runs, then measure their checkpoints; the folders of the trajectories by (arm, seed)."""
    trained = [trajectory.run for trajectory in runs.values()]
    units = sum(run.updates for run in trained)
    executor.run(trained, store, progress=reporter, stage=stage, units=units)
    checkpoints = sum(len(run.checkpoints) for run in trained)
    folders = executor.run(list(runs.values()), store, progress=reporter, stage=f"{stage}, measured", units=checkpoints)
    return dict(zip(runs, folders, strict=True))


def find_heads(
    studies: Sequence[MechanismStudy], untouched: Sequence[Runs], store: Store, executor: Executor, reporter: Reporter
) -> list[LocateHeads]:
    """The heads of every model's reference run at its last checkpoint, located and described.

    Raises:
        ImprintError: no induction head formed in a reference run, so there is nothing to attribute.
    """
    steps = []
    for study, runs in zip(studies, untouched, strict=True):
        choose_window(study, read_trajectories(runs))
        data = corpora(study)
        run = untouched_run(study, data.train, study.training.first_seed)
        length, last = data.train.context, study.training.steps
        steps.append(LocateHeads(run=run, step=last, context_length=length, probe=study.probe))
    executor.run(steps, store, progress=reporter, stage="locate: heads, nulls, ablations", units=len(steps))
    return steps


def attribute_heads(
    studies: Sequence[MechanismStudy],
    untouched: Sequence[Runs],
    located: Sequence[LocateHeads],
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> list[AttributedHead]:
    """The influence of every row on each located head, at the checkpoint inside its reference run's transition."""
    found = [
        _attribution(study, runs, locating, store)
        for study, runs, locating in zip(studies, untouched, located, strict=True)
    ]
    rows = len(found[0].packed)
    units = sum(rows + min(rows, study.attribution.max_rows) for study in studies)
    steps = [one.attribution for one in found]
    executor.run(steps, store, progress=reporter, stage="attribute: influence of every document", units=units)
    return found


def _attribution(study: MechanismStudy, untouched: Runs, locating: LocateHeads, store: Store) -> AttributedHead:
    data, location = corpora(study), read_json(store.get(locating) / "location.json")
    reference, transition, window = choose_window(study, read_trajectories(untouched))
    attribution = Attribution(
        run=untouched_run(study, data.train, reference),
        step=transition,
        packed=data.train,
        head=_target(location),
        probe=study.probe,
        options=study.attribution,
    )
    return AttributedHead(
        study=study,
        data=data,
        untouched=untouched,
        reference_seed=reference,
        transition=transition,
        window=window,
        locating=locating,
        location=location,
        attribution=attribution,
        scored=store.path(attribution),
        packed=Packed.load(store.get(data.train)),
    )


def choose_window(study: MechanismStudy, table: pl.DataFrame) -> tuple[int, int, tuple[int, int]]:
    """The reference seed, its checkpoint inside the transition, and the steps of the intervention."""
    reference = study.training.first_seed
    steps, strength = curve(table, KEEP, reference, STRENGTH)
    _, copying = curve(table, KEEP, reference, COPYING)
    if max(strength) < LEAST_STRENGTH:
        raise ImprintError(
            f"no induction head formed in the reference run{_at(study)} (largest prefix matching {max(strength):.3f}, copy"
            f" accuracy {max(copying):.3f} after {steps[-1]} steps), so there is nothing to attribute; train longer or plant"
            " more novel repeats"
        )
    crossing = next(step for step, value in zip(steps, strength, strict=True) if value > 0.5 * max(strength))
    every = study.training.checkpoint_every
    first = max(every, int(0.6 * crossing) // every * every)
    window = study.interventions.window or (first, study.training.steps)
    return reference, inside_transition(steps, strength), window


def _target(location: dict[str, Any]) -> str:
    """The induction head with the highest score; any head with the highest score when none passed every test."""
    heads = location["heads"]
    named = [head for head in heads if head["role"] == "induction"]
    return str(max(named or heads, key=lambda head: head["prefix_matching"]["estimate"])["head"])


def _at(study: MechanismStudy) -> str:
    return f" of {study.scale}" if study.scale else ""
