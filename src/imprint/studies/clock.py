"""Wall-clock seconds of the stages of a study, added up over the attempts that one result took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from imprint.runs import read_json, write_json


@dataclass(kw_only=True, slots=True)
class Clock:
    """Seconds by stage, kept in a file; a stage that fails leaves none."""

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of(out: Path) -> "Clock":
        """The clock of the study in a folder, with the seconds of earlier attempts."""
        path = out / "seconds.json"
        return Clock(path=path, seconds=read_json(path) if path.exists() else {})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block's seconds as those of a stage."""
        start = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 2)
        write_json(self.path, self.seconds)
