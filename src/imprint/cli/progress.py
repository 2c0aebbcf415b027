"""Progress on the terminal: one bar with ETA per stage; plain lines where there is no terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from imprint.types import Advance


class TerminalReporter:
    """A `Reporter` that draws on standard error, so that standard output carries results only."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Draw bars on a terminal, write one line a stage elsewhere, nothing at all when `quiet`."""
        self._console = Console(stderr=True, quiet=quiet)
        self._bars: Progress | None = None

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Advance]:
        """Open a stage and give the function that advances it; stages may nest."""
        if not self._console.is_terminal:
            with self._line(name) as advance:
                yield advance
            return
        with self._running() as bars:
            task = bars.add_task(name, total=total)
            yield lambda units: bars.advance(task, units)
            bars.update(task, total=total or 1, completed=total or 1)

    def message(self, text: str) -> None:
        """Say one sentence."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _running(self) -> Iterator[Progress]:
        if self._bars is not None:
            yield self._bars
            return
        columns = (
            TextColumn("{task.description:<38}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console) as bars:
            self._bars = bars
            try:
                yield bars
            finally:
                self._bars = None

    @contextmanager
    def _line(self, name: str) -> Iterator[Advance]:
        start = time.monotonic()
        self.message(f"{name} ...")
        yield lambda units: None
        self.message(f"{name}: done in {time.monotonic() - start:.0f} s")
