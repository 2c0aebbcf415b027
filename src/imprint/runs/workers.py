"""Processes that compute steps for a parent: one thread each, silent, and gone when the parent is gone."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import c_longlong
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from imprint.errors import ImprintError
from imprint.runs.errands import Errand, Failure, answer
from imprint.runs.recipe import Step
from imprint.runs.store import Store
from imprint.types import Advance

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(kw_only=True, slots=True)
class _Worker:
    """The parent's view of one process."""

    process: SpawnProcess
    connection: Connection
    done: Any
    """Units advanced so far, in memory shared with the process, which alone writes it."""
    task: Errand | None = None
    started: bool = False


def compute_spread(steps: Sequence[Step], *, count: int, root: Path, advance: Advance) -> list[Path]:
    """The results' folders in the order of the steps, computed by `count` processes into the store at `root`.

    Raises the first failure as the step raised it. When this returns or raises, no process is left.
    """
    crew: list[_Worker] = []
    try:
        with _worker_environment():
            for _ in range(count):
                crew.append(_hire(root))
        return _supervise(crew, steps, advance)
    finally:
        _dismiss(crew)


def _supervise(crew: list[_Worker], steps: Sequence[Step], advance: Advance) -> list[Path]:
    waiting = deque(Errand(index=index, step=step, key=step.key) for index, step in enumerate(steps))
    paths: dict[int, Path] = {}
    reported = 0
    while len(paths) < len(steps):
        for worker in _ready(crew):
            paths |= _receive(worker)
            if waiting:
                _send(worker, waiting.popleft())
        done = sum(worker.done.value for worker in crew)
        advance(done - reported)
        reported = done
    return [paths[index] for index in range(len(steps))]


def _ready(crew: list[_Worker]) -> list[_Worker]:
    """Workers that said something or died; waits for them a moment."""
    owners: dict[Any, _Worker] = {source: w for w in crew for source in (w.connection, w.process.sentinel)}
    spoke = {id(owners[source]): owners[source] for source in wait(list(owners), _POLL_SECONDS)}
    return list(spoke.values())


def _dismiss(crew: list[_Worker]) -> None:
    for worker in crew:
        worker.process.terminate()
    for worker in crew:
        worker.process.join(_PATIENCE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()
        worker.process.close()


def _hire(root: Path) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    done = context.RawValue(c_longlong, 0)
    process = context.Process(target=_serve, args=(theirs, root, done), daemon=False)
    process.start()
    theirs.close()
    return _Worker(process=process, connection=ours, done=done)


@contextmanager
def _worker_environment() -> Iterator[None]:
    """What a process must find at its very start: one thread for torch, and no Ctrl-C, which is the parent's affair."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts, so it must be started before
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _send(worker: _Worker, task: Errand) -> None:
    worker.task = task
    try:
        worker.connection.send(task)
    except (BrokenPipeError, ConnectionResetError):
        raise _death(worker) from None


def _receive(worker: _Worker) -> dict[int, Path]:
    """What the worker finished (nothing, the first time); raises what it failed with."""
    if not worker.connection.poll():
        raise _death(worker)
    try:
        message = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        raise _death(worker) from None
    if isinstance(message, Failure):
        raise message.exception()
    worker.started = True
    task, worker.task = worker.task, None
    return {} if task is None else {task.index: message}


def _death(worker: _Worker) -> ImprintError:
    worker.process.join(_PATIENCE_SECONDS)
    code = worker.process.exitcode
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
    if not worker.started:
        return ImprintError(
            f"a worker process {how} before it could start: if this is a script, put what it runs under "
            'if __name__ == "__main__":'
        )
    what = f"computing {worker.task.step.name} ({worker.task.key[:12]})" if worker.task else "that was idle"
    return ImprintError(
        f"a worker process {what} {how} (out of memory?): run the same command again, with fewer workers if it "
        "happens twice; finished work is kept"
    )


def _serve(connection: Connection, root: Path, done: Any) -> None:
    """Compute what comes over the connection until it closes. Runs in the worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def advance(units: int) -> None:
        done.value += units

    connection.send(None)
    with suppress(EOFError):
        while True:
            connection.send(answer(connection.recv_bytes(), Store(root), advance))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
