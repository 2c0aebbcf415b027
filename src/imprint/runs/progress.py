"""How a step tells the outside how far it is; the terminal version lives in `imprint.cli`."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

from imprint.types import Advance, no_progress


@runtime_checkable
class Reporter(Protocol):
    """Somebody who listens to progress."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Advance]:
        """Open a stage of `total` units (None: unknown) and give the function that advances it."""
        ...

    def message(self, text: str) -> None:
        """Say one sentence to the user."""
        ...


class _Silent:
    def stage(self, name: str, total: int | None) -> AbstractContextManager[Advance]:
        return nullcontext(no_progress)

    def message(self, text: str) -> None:
        return None


silent: Reporter = _Silent()
"""The reporter that says nothing: the default everywhere."""
