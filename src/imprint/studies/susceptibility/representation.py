"""H2: what differs between the checkpoints before the last stage, and whether it ranks the outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints import (
    SCALARS_FILE,
    CheckpointMeasurement,
    CheckpointScalars,
    ConditionProbe,
    MeasureCheckpoint,
    Panel,
    SeparatingDirections,
    condition_directions,
    condition_probe,
    panel,
    stacked_states,
)
from imprint.runs import Executor, Reporter, Step, Store, read_json
from imprint.stats import ScalarScreen, Undefined
from imprint.studies.susceptibility.config import SusceptibilityStudy
from imprint.studies.susceptibility.correlation import registered_outcomes, screened
from imprint.studies.susceptibility.hypotheses import REPRESENTATION
from imprint.studies.susceptibility.options import RepresentationOptions
from imprint.studies.susceptibility.outcomes import once
from imprint.studies.susceptibility.pipelines import Pipeline

PROBED = 64
"""Most numbers a state that the condition probe reads: the leading principal components of all checkpoints' states."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepresentationFinding:
    """The checkpoints before the last stage beside the outcomes."""

    panel: Panel
    scalars: Mapping[str, Mapping[str, float]]
    """Every scalar's mean by condition; registered or not."""
    registered: ScalarScreen | Undefined
    """The registered scalars against the outcomes that hypotheses name: what H2 is judged by."""
    explored: ScalarScreen | Undefined
    """All scalars against all outcomes, corrected over all of them."""
    directions: Mapping[str, SeparatingDirections]
    """By site."""
    probes: Mapping[str, ConditionProbe | Undefined]
    """By site: can the condition of an unseen checkpoint be told?"""


def probe_checkpoints(
    study: SusceptibilityStudy,
    options: RepresentationOptions,
    ran: Sequence[Pipeline],
    outcomes: Mapping[str, Mapping[str, float]],
    *,
    store: Store,
    executor: Executor,
    reporter: Reporter,
) -> RepresentationFinding:
    """Measure every checkpoint on the same conversations, axes taken from the base model, and set it against outcomes."""
    steps = [_measure(study, options, one.before_last) for one in ran]
    references = [_measure(study, options, one.base) for one in ran]
    every = once([*steps, *references])
    executor.run(every, store, progress=reporter, stage="read the checkpoints", units=len(every))
    scalars = [
        CheckpointScalars(measured=step, reference=reference, whiten=options.whiten, seed=study.seed)
        for step, reference in zip(steps, references, strict=True)
    ]
    folders = executor.run(scalars, store, progress=reporter, stage="scalars of the checkpoints", units=len(scalars))
    measured = {one.name: read_json(folder / SCALARS_FILE) for one, folder in zip(ran, folders, strict=True)}
    conditions = tuple(one.condition for one in ran)
    states = {one.name: CheckpointMeasurement.load(store.path(step)) for one, step in zip(ran, steps, strict=True)}
    place = np.array([list(study.conditions).index(name) for name in conditions])
    stacked = {site: stacked_states(list(states.values()), site) for site in options.sites}
    directions = {
        site: condition_directions(values, place, draws=options.draws, seed=study.seed)
        for site, values in stacked.items()
    }
    found = panel(measured, conditions)
    return _against(study, options, found, directions, stacked, place, outcomes)


def _against(
    study: SusceptibilityStudy,
    options: RepresentationOptions,
    found: Panel,
    directions: Mapping[str, SeparatingDirections],
    stacked: Mapping[str, np.ndarray],
    place: np.ndarray,
    outcomes: Mapping[str, Mapping[str, float]],
) -> RepresentationFinding:
    names, asked = list(study.conditions), registered_outcomes(study.hypotheses, REPRESENTATION, outcomes)
    means = found.condition_means()
    scalars = {
        name: dict(zip(found.condition_names, map(float, values), strict=True)) for name, values in means.items()
    }
    for site, direction in directions.items():
        if direction.scores.shape[1]:
            scalars[f"direction/{site}"] = dict(zip(names, map(float, direction.scores[:, 0]), strict=True))
    chosen = {name: scalars[name] for name in options.scalars if name in scalars}
    return RepresentationFinding(
        panel=found,
        scalars=scalars,
        registered=screened(chosen, asked, seed=study.seed),
        explored=screened(scalars, outcomes, seed=study.seed),
        directions=directions,
        probes={site: _probe(values, place, study.seed) for site, values in stacked.items()},
    )


def _probe(states: np.ndarray, place: np.ndarray, seed: int) -> ConditionProbe | Undefined:
    """The probe on the leading principal components of all states, which keeps it fast for wide models."""
    flat = states.reshape(-1, states.shape[-1])
    centred = flat - flat.mean(0)
    if centred.shape[1] > PROBED:
        basis = np.linalg.svd(centred, full_matrices=False)[2][:PROBED]
        centred = centred @ basis.T
    try:
        return condition_probe(centred.reshape(*states.shape[:2], -1), place, seed=seed)
    except CorpusError as error:
        return Undefined(reason=str(error))


def _measure(study: SusceptibilityStudy, options: RepresentationOptions, model: Step) -> MeasureCheckpoint:
    return MeasureCheckpoint(
        model=model,
        tokenizer=study.base.tokenizer_folder,
        prompts=options.prompts,
        contrasts=options.contrasts,
        sites=options.sites,
        position=options.position,
        device=study.pipelines.device,
    )
