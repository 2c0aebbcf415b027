"""A step on its way to another process, and the answer that comes back: the result's folder, or what went wrong."""

import pickle
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from imprint.errors import ImprintError
from imprint.runs.recipe import Step
from imprint.runs.store import Store
from imprint.types import Advance


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """One of several steps, with the key that it had where the run was started."""

    index: int
    step: Step
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """An exception on its way back: pickled whole, or as a type and a message."""

    kind: type[BaseException]
    message: str
    pickled: bytes
    trace: str

    @staticmethod
    def of(error: Exception) -> "Failure":
        """What can be told of an exception; a type that the other process cannot import becomes its nearest base."""
        kind = next(base for base in type(error).__mro__ if _is_importable(base))
        if not isinstance(error, ImprintError):
            kind = kind if _survives(error) else RuntimeError
        message = str(error) if kind is not RuntimeError else f"{type(error).__name__}: {error}"
        pickled = pickle.dumps(error) if _survives(error) else b""
        trace = "".join(traceback.format_exception(error))
        return Failure(kind=kind, message=message, pickled=pickled, trace=trace)

    def exception(self) -> BaseException:
        """The exception as it was raised, with the other process's traceback as a note."""
        error = pickle.loads(self.pickled) if self.pickled else self.kind.__new__(self.kind, self.message)
        error.add_note(f"in a worker process:\n{self.trace}")
        assert isinstance(error, BaseException)
        return error


def answer(message: bytes, store: Store, advance: Advance) -> Path | Failure:
    """Do the pickled errand: all that a worker has to do, wherever it runs."""
    try:
        errand: Errand = pickle.loads(message)
        if errand.step.key != errand.key:
            raise ImprintError(
                f"the code or an input of step {errand.step.name} changed after this run had started: run it again"
            )
        return store.get(errand.step, advance=advance)
    except Exception as error:
        return Failure.of(error)


def _survives(error: Exception) -> bool:
    """Whether the exception comes out of a pickle with its type and message."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # anything may go wrong in a foreign __reduce__ or __init__
        return False
    return type(copy) is type(error) and str(copy) == str(error)


def _is_importable(kind: type) -> bool:
    if kind.__module__ == "__mp_main__":
        return False
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind
