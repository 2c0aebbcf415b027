"""Paired retraining for documents that the user names: the ground truth for any attribution, also a foreign one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imprint.corpus import Packed
from imprint.errors import ConfigError
from imprint.interventions.data import ROWS_FILE, ControlRows, EditKind
from imprint.runs import Context, Executor, Reporter, Step, Store, silent
from imprint.studies.mechanism.arms import Arm, branches, corpora, measured, seeds, untouched_run
from imprint.studies.mechanism.attributed import choose_window, train_and_measure
from imprint.studies.mechanism.comparison import ArmEffect, compare_arms, copying_bar, find_onsets, read_trajectories
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import KEEP
from imprint.studies.registration import check_registered, register


class DocumentRows(Step):
    """The training rows of documents listed by id, one a line, in a text file (the file counts by its content)."""

    packed: Step
    ids: Path

    def execute(self, folder: Path, context: Context) -> None:
        """Find and save the rows."""
        ids, packed = read_ids(self.ids), Packed.load(context.get(self.packed))
        rows = packed.rows_of(ids)
        if len(rows) == 0:
            raise ConfigError(
                f"the {len(ids)} documents are too short to give a training row, so none can be edited out"
            )
        np.save(folder / ROWS_FILE, rows)


def read_ids(path: Path) -> list[str]:
    """Document ids from a text file, one a line, blank lines ignored.

    Raises:
        ConfigError: the file cannot be read or names no document.
    """
    try:
        ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the list of documents '{path}' cannot be read: {error}") from error
    if not ids:
        raise ConfigError(f"the list of documents '{path}' is empty; write one document id a line")
    return ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Retraining:
    """What happened when the named documents were edited out of (or into) training."""

    window: tuple[int, int]
    rows: int
    effects: list[ArmEffect]


def retrain_documents(
    study: MechanismStudy,
    ids: Path,
    out: Path,
    *,
    kind: EditKind = "delete",
    executor: Executor,
    reporter: Reporter = silent,
) -> Retraining:
    """Branch every seed at the window's start, edit the named documents, and compare with every control of the study.

    Loss-matched controls are left out and said so: the losses come with an attribution, which there is none of here.

    Raises:
        ConfigError: the list cannot be read, or the folder was registered with other hypotheses.
        CorpusError: a document is not in the training corpus.
    """
    check_registered(study.hypotheses, out)
    store, data = Store(out / "store"), corpora(study)
    given = DocumentRows(packed=data.train, ids=ids)
    treated = np.load(store.get(given) / ROWS_FILE)
    register(study.hypotheses, out)
    if "loss" in study.interventions.controls:
        reporter.message("the loss-matched control needs an attribution, so it is left out")
    untouched = {(KEEP, seed): measured(study, untouched_run(study, data.train, seed), data) for seed in seeds(study)}
    kept = train_and_measure(untouched, "train: untouched runs", store, executor, reporter)
    _, _, window = choose_window(study, read_trajectories(kept))
    arms = _arms(study, given, data.train, kind)
    runs = branches(study, arms, data, window, store)
    table = read_trajectories(kept | train_and_measure(runs, "retrain the arms", store, executor, reporter))
    chance, items = copying_bar(study.probe, data.train.context)
    onsets = find_onsets(table, chance=chance, items=items)
    return Retraining(window=window, rows=len(treated), effects=compare_arms(table, onsets, arms, list(seeds(study))))


def _arms(study: MechanismStudy, given: Step, packed: Step, kind: EditKind) -> Sequence[Arm]:
    controls = [name for name in dict.fromkeys(("random", *study.interventions.controls)) if name != "loss"]
    match = given if kind == "duplicate" else None
    arms = [Arm(name=f"{kind}_given", kind=kind, rows=given, control=f"{kind}_random", match=match)]
    for name in controls:
        rows = ControlRows.model_validate({"treated": given, "packed": packed, "kind": name, "seed": study.corpus.seed})
        arms.append(Arm(name=f"{kind}_{name}", kind=kind, rows=rows, control=KEEP, is_control=True, match=match))
    return arms
