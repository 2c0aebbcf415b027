"""Many independent steps at once: on this machine now; a cluster fits behind the same two-line protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from imprint.errors import ConfigError
from imprint.runs.progress import Reporter, silent
from imprint.runs.recipe import Step
from imprint.runs.store import Store
from imprint.runs.workers import compute_spread


@runtime_checkable
class Executor(Protocol):
    """Whoever computes many steps."""

    def run(
        self, steps: Sequence[Step], store: Store, *, progress: Reporter = silent, stage: str, units: int
    ) -> list[Path]:
        """The results' folders in the order of the steps; `units` is the work of all steps together."""
        ...


def compute(step: Step, root: Path) -> Path:
    """The folder of the step's result in the store at `root`: all that a remote worker has to do."""
    return Store(root).get(step)


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """Computes steps on this machine, `workers` at a time; with one worker, in this process.

    Results already in the store are not computed again. The first failure ends the run and is raised as the step
    raised it; finished steps are kept and unfinished ones are taken up by the next run. No process outlives the run.

    Trust: with several workers each has one thread (OMP_NUM_THREADS=1), with one the threads of this process; where
    that changes a sum's order it changes last digits, so a step that must be equal to the byte sets its own threads.
    """

    workers: int

    def __post_init__(self) -> None:
        """Refuse a number of workers that cannot work."""
        if self.workers < 1:
            raise ConfigError(f"{self.workers} workers were asked for: give a number from 1 up")

    def run(
        self, steps: Sequence[Step], store: Store, *, progress: Reporter = silent, stage: str, units: int
    ) -> list[Path]:
        """The results' folders in the order of the steps; progress counts what the steps say through `advance`."""
        keys = [step.key for step in steps]
        missing = {key: step for key, step in zip(keys, steps, strict=True) if not store.has(step)}
        with progress.stage(stage, units) as advance:
            advance(units * (len(steps) - len(missing)) // max(len(steps), 1))
            if self.workers == 1:
                for step in missing.values():
                    store.get(step, progress=progress, advance=advance)
            elif missing:
                spread = list(missing.values())
                compute_spread(spread, count=min(self.workers, len(spread)), root=store.root, advance=advance)
        return [store.path(step) for step in steps]
