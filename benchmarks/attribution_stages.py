"""Process-CPU seconds and peak memory of the stages of one attribution run, and where its results go.

Needs only numpy, so that the peers' environments can read it.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np


def cpu_seconds() -> float:
    """CPU seconds of this process and its finished children."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def resident(field: str = "VmRSS") -> float:
    """Resident memory now, or its high-water mark (`VmHWM`), in MB of 2**20 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


class Stages:
    """A stopwatch by stage; made when model, data and libraries are loaded, which is what memory is measured above."""

    def __init__(self) -> None:
        self.base = resident()
        self.cpu: dict[str, float] = {}
        self.peak: dict[str, float] = {}
        self._running: list[str] = []
        self._since = self._start = (cpu_seconds(), time.perf_counter())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count CPU seconds for `name` until a stage inside begins, and again when that ends; a name adds up."""
        self._count()
        self._running.append(name)
        try:
            yield
        finally:
            self._count()
            self._running.pop()

    def inside(self, place: Any, functions: dict[str, str], *, closed: str = "") -> None:
        """Time functions of a module or class (function name to stage), but not while the stage `closed` runs."""
        for name, stage in functions.items():
            setattr(place, name, self._timed(getattr(place, name), stage, closed))

    def _timed(self, function: Callable[..., Any], stage: str, closed: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            with nullcontext() if closed in self._running else self.stage(stage):
                return function(*given, **named)

        return call

    def _count(self) -> None:
        now = (cpu_seconds(), time.perf_counter())
        if self._running:
            name = self._running[-1]
            self.cpu[name] = self.cpu.get(name, 0.0) + now[0] - self._since[0]
            self.peak[name] = max(self.peak.get(name, 0.0), resident("VmHWM") - self.base)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from what is resident now
        self._since = cpu_seconds(), time.perf_counter()

    def facts(self) -> dict[str, Any]:
        """CPU seconds and peak memory by stage and in all, wall seconds, and the base, in MB of 2**20 bytes."""
        return {
            "cpu_seconds": {name: round(seconds, 3) for name, seconds in self.cpu.items()},
            "total_cpu_seconds": round(sum(self.cpu.values()), 3),
            "wall_seconds": round(self._since[1] - self._start[1], 3),
            "base_mb": round(self.base),
            "peak_above_base_mb": round(max(self.peak.values())),
            "peak_above_base_mb_by_stage": {name: round(peak) for name, peak in self.peak.items()},
        }


def bytes_under(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


Run = Callable[[str, str, Path], tuple[dict[str, Any], np.ndarray | None]]
"""(setting, shape, scratch folder) to facts and the scores [query, row], positive = training on the row helps."""


def answer(run: Run, settings: list[str]) -> None:
    """The main function of a measured process: run one setting, write `result.json` and `scores.npy` to a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("setting", choices=settings)
    parser.add_argument("shape")
    parser.add_argument("out", type=Path)
    parser.add_argument("scratch", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    facts, scores = run(arguments.setting, arguments.shape, arguments.scratch)
    if scores is not None:
        np.save(arguments.out / "scores.npy", np.asarray(scores, dtype=np.float32))
    (arguments.out / "result.json").write_text(json.dumps(facts))
