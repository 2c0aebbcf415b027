"""Many independent steps on a Ray cluster, through the same seam as the processes of one machine."""

import pickle
import secrets
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from imprint.errors import ConfigError, ImprintError
from imprint.runs.errands import Errand, Failure, answer
from imprint.runs.files import writing
from imprint.runs.progress import Reporter, silent
from imprint.runs.ray_cluster import connected
from imprint.runs.recipe import Step
from imprint.runs.store import Store
from imprint.runs.workers import ONE_THREAD
from imprint.types import Advance

_ATTEMPTS = 4
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0
_VISIBLE_SECONDS = 90.0
"""How long a network file system may take to show a finished result to another machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RayExecutor:
    """Computes steps on the Ray cluster at `address`, or on a local one that is started for it; one thread a worker.

    Results already in the store are not computed again. A worker that dies costs its own step only, which another one
    takes up where it stopped, three times at most. The first failure of a step ends the run and is raised as the step
    raised it. A run outside `connection` connects for itself.

    Trust: results are those of `LocalExecutor`, to the byte where the machines' processors are of one kind. The store
    must lie on a file system that all machines share, with file locks (NFS 4 has them), under the same path.
    """

    address: str | None = None
    """HOST:PORT of a cluster that this machine belongs to; None: one of this machine alone."""
    workers: int | None = None
    """Steps at a time; None: as many as the cluster has cores."""

    def __post_init__(self) -> None:
        """Refuse a number of workers that cannot work."""
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"{self.workers} workers were asked for: give a number from 1 up")

    def connection(self) -> AbstractContextManager[ModuleType]:
        """One connection (and one local cluster) for all runs within the block; raises as `ray_cluster.connected`."""
        return connected(self.address, self.workers)

    def run(
        self, steps: Sequence[Step], store: Store, *, progress: Reporter = silent, stage: str, units: int
    ) -> list[Path]:
        """The results' folders in the order of the steps; progress counts what the steps say through `advance`."""
        keys = [step.key for step in steps]
        missing = {key: step for key, step in zip(keys, steps, strict=True) if not store.has(step)}
        errands = [Errand(index=index, step=step, key=key) for index, (key, step) in enumerate(missing.items())]
        with progress.stage(stage, units) as advance, self.connection() if errands else nullcontext() as ray:
            advance(units * (len(steps) - len(missing)) // max(len(steps), 1))
            if ray is not None:
                with _beacon(store) as beacon:
                    _Run(ray, store, beacon, progress, advance).compute(errands, self.workers or len(errands))
        return [store.path(step) for step in steps]


class _Run:
    """One run as its driver sees it."""

    def __init__(self, ray: ModuleType, store: Store, beacon: Path, progress: Reporter, advance: Advance) -> None:
        self.ray, self.store, self.beacon, self.progress, self.advance = ray, store, beacon, progress, advance
        variables = dict.fromkeys(ONE_THREAD, "1") | {"TOKENIZERS_PARALLELISM": "false"}
        task = ray.remote(_serve)
        self.serve = task.options(num_cpus=1, max_retries=0, runtime_env={"env_vars": variables})
        self.tally = ray.remote(_Tally).options(num_cpus=0).remote()
        self.asked: Any = None
        self.told: Counter[int] = Counter()
        self.deaths: Counter[int] = Counter()

    def compute(self, errands: Sequence[Errand], at_a_time: int) -> None:
        """All errands; raises the first failure. When this returns or raises, none of them goes on."""
        waiting, running = deque(errands), dict[Any, Errand]()
        try:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    errand = waiting.popleft()
                    running[self._submit(errand)] = errand
                done, _ = self.ray.wait(list(running), timeout=_POLL_SECONDS)
                for reference in done:
                    errand = running.pop(reference)
                    if not self._is_done(reference, errand):
                        waiting.appendleft(errand)
                self._listen()
        finally:
            for reference in running:
                self.ray.cancel(reference, force=True)
            if running:
                self.ray.wait(list(running), num_returns=len(running), timeout=_PATIENCE_SECONDS)
            self.ray.kill(self.tally)

    def _submit(self, errand: Errand) -> Any:
        return self.serve.remote(pickle.dumps(errand), self.beacon, sys.path, self.tally, errand.index)

    def _is_done(self, reference: Any, errand: Errand) -> bool:
        """Whether the result is there; False if its worker died and the errand is to be done again."""
        found = self.ray.exceptions
        try:
            outcome, units = self.ray.get(reference)
        except (found.WorkerCrashedError, found.NodeDiedError, found.OutOfMemoryError, found.ObjectLostError):
            self._mourn(errand)
            return False
        except found.RayError as error:
            last = str(error).strip().splitlines()[-1]
            raise ImprintError(
                f"a machine of the cluster could not begin {errand.step.name} ({last}): install the same imprint there"
            ) from error
        if isinstance(outcome, Failure):
            raise outcome.exception()
        self._tell(errand.index, units)
        _await_result(self.store, errand)
        return True

    def _mourn(self, errand: Errand) -> None:
        self.deaths[errand.index] += 1
        what = f"a worker died while it computed {errand.step.name} ({errand.key[:12]})"
        if self.deaths[errand.index] == _ATTEMPTS:
            raise ImprintError(
                f"{what} {_ATTEMPTS} times (out of memory?): run the same command again with fewer workers; finished work"
                " is kept"
            )
        self.progress.message(f"{what}: another one goes on with it")

    def _listen(self) -> None:
        """Pass on the progress that workers have told since; a lost tally costs nothing else."""
        if self.asked is None:
            self.asked = self.tally.read.remote()
        if self.ray.wait([self.asked], timeout=0)[0]:
            asked, self.asked = self.asked, None
            try:
                told = self.ray.get(asked)
            except self.ray.exceptions.RayError:
                return
            for index, units in told.items():
                self._tell(index, units)

    def _tell(self, index: int, units: int) -> None:
        """A step that was begun again counts again from 0, so what was told of it may be more."""
        if units > self.told[index]:
            self.advance(units - self.told[index])
            self.told[index] = units


class _Tally:
    """How many units each errand has advanced, kept where all workers can reach it."""

    def __init__(self) -> None:
        self.units: dict[int, int] = {}

    def tell(self, index: int, units: int) -> None:
        self.units[index] = units

    def read(self) -> dict[int, int]:
        return self.units


def _serve(message: bytes, beacon: Path, places: list[str], tally: Any, index: int) -> tuple[Path | Failure, int]:
    """The answer to an errand and the units that it advanced; a user's modules are in `places`. Runs in the worker."""
    sys.path.extend(place for place in places if place not in sys.path)
    done, last = 0, 0.0

    def advance(units: int) -> None:
        nonlocal done, last
        done += units
        if time.monotonic() - last > _POLL_SECONDS:
            last = time.monotonic()
            tally.tell.remote(index, done)

    if not beacon.exists():
        unseen = ConfigError(
            f"a machine of the cluster does not see {beacon.parent}: choose an output folder on a file system that all"
            " machines share, under the same path"
        )
        return Failure.of(unseen), 0
    return answer(message, Store(beacon.parent), advance), done


@contextmanager
def _beacon(store: Store) -> Iterator[Path]:
    """A file in the store's folder by which a worker sees that it looks at the same one."""
    beacon = store.root / f"ray-{secrets.token_hex(8)}.beacon"
    with writing(store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        beacon.touch()
    try:
        yield beacon
    finally:
        beacon.unlink(missing_ok=True)


def _await_result(store: Store, errand: Errand) -> None:
    end = time.monotonic() + _VISIBLE_SECONDS
    while not store.has(errand.step):
        if time.monotonic() > end:
            raise ImprintError(
                f"the result of {errand.step.name} ({errand.key[:12]}) does not appear in {store.root}: is it on a file"
                " system that all machines share?"
            )
        time.sleep(_POLL_SECONDS)
