"""The untouched runs of a study on their own: train them, measure them, date the emergence."""

from dataclasses import asdict, dataclass
from pathlib import Path

from imprint.emergence import emergence_threshold, onset
from imprint.runs import Executor, Reporter, Store, silent
from imprint.studies.mechanism.arms import corpora, measured, seeds, untouched_run
from imprint.studies.mechanism.comparison import copying_bar, curve, read_trajectories
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import COPYING, KEEP, STRENGTH
from imprint.studies.registration import check_registered, register


@dataclass(frozen=True, kw_only=True, slots=True)
class UntouchedRun:
    """One trained seed: where its checkpoints lie and when its mechanism emerged."""

    seed: int
    folder: str
    emerged: bool
    onset: float
    """Training step; the run's last step when it did not emerge."""
    strength: float
    copy_accuracy: float

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words."""
        return asdict(self)


def train_untouched(
    study: MechanismStudy, out: Path, *, executor: Executor, reporter: Reporter = silent
) -> list[UntouchedRun]:
    """Train every seed of a study without any edit; `run_mechanism_study` in the same folder reuses the runs.

    The hypotheses are registered now, because whoever has seen these runs cannot register them any more.

    Raises:
        ConfigError: the folder was registered with other hypotheses.
    """
    store = Store(out / "store")
    check_registered(study.hypotheses, out)
    data = corpora(study)
    store.get(data.train)
    register(study.hypotheses, out)
    trained = [untouched_run(study, data.train, seed) for seed in seeds(study)]
    units = sum(run.updates for run in trained)
    folders = executor.run(trained, store, progress=reporter, stage="train: untouched runs", units=units)
    panels = [measured(study, run, data) for run in trained]
    checkpoints = sum(len(run.checkpoints) for run in trained)
    found = executor.run(panels, store, progress=reporter, stage="train: measured", units=checkpoints)
    table = read_trajectories({(KEEP, seed): folder for seed, folder in zip(seeds(study), found, strict=True)})
    chance, items = copying_bar(study.probe, data.train.context)
    runs = []
    for seed, folder in zip(seeds(study), folders, strict=True):
        steps, strength = curve(table, KEEP, seed, STRENGTH)
        _, copying = curve(table, KEEP, seed, COPYING)
        when = onset(steps, strength, copying, threshold=emergence_threshold(strength), chance=chance, items=items)
        runs.append(
            UntouchedRun(
                seed=seed,
                folder=str(folder),
                emerged=not when.censored,
                onset=when.step,
                strength=strength[-1],
                copy_accuracy=copying[-1],
            )
        )
    return runs
