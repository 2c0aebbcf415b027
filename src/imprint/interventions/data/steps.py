"""Data interventions as content-addressed steps: a set of rows, its matched controls, and the edited stream."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from imprint.corpus import JoinedPacked, Packed, Stream
from imprint.interventions.data.controls import ControlKind, category_matched_rows, random_rows, value_matched_rows
from imprint.interventions.data.plans import Budget, delete, duplicate, occurrences, replace
from imprint.runs import Context, Step, derive

ROWS_FILE = "rows.npy"
EditKind = Literal["delete", "replace", "duplicate"]


class ControlRows(Step):
    """Rows matched to a treated set (`rows.npy` of step `treated`) as the control kind asks."""

    treated: Step
    packed: Step
    kind: ControlKind
    values: Step | None = None
    """The step whose `losses.npy` (one value a row) the "loss" control matches."""
    without_domains: tuple[str, ...] = ()
    """Domains that no control row may come from."""
    seed: int

    @model_validator(mode="after")
    def _values_are_there(self) -> "ControlRows":
        if self.kind == "loss" and self.values is None:
            raise ValueError("a loss-matched control needs `values`, the step that holds every row's loss")
        return self

    def execute(self, folder: Path, context: Context) -> None:
        """Choose and save the rows; a control smaller than the treated set is warned of."""
        treated = load_rows(context.get(self.treated))
        chosen = self._rows(treated, context)
        if len(chosen) < len(treated):
            context.warn(
                f"the {self.kind}-matched control has {len(chosen)} rows for {len(treated)} treated ones, because some"
                " domains have too few untreated rows; its effect cannot be compared one to one"
            )
        np.save(folder / ROWS_FILE, chosen)

    def _rows(self, treated: np.ndarray, context: Context) -> np.ndarray:
        packed = Packed.load(context.get(self.packed))
        pool = np.flatnonzero(~np.isin(packed.row_domains, self.without_domains))
        seed = derive(self.seed, "control", self.kind)
        if self.kind == "random":
            return random_rows(treated, pool, seed=seed)
        if self.kind == "domain":
            return category_matched_rows(treated, pool, packed.row_domains, seed=seed)
        if self.kind == "length":
            return value_matched_rows(treated, pool, packed.lengths.astype(np.float64), seed=seed)
        assert self.values is not None
        losses = np.load(context.get(self.values) / "losses.npy")
        return value_matched_rows(treated, pool, losses, seed=seed)


class PartRows(Step):
    """The rows of one part of a joined corpus, as rows of the whole."""

    joined: JoinedPacked
    part: int = Field(ge=0)

    def execute(self, folder: Path, context: Context) -> None:
        """Count and save the rows."""
        sizes = [len(Packed.load(context.get(part))) for part in self.joined.parts]
        np.save(folder / ROWS_FILE, np.arange(sizes[self.part]) + sum(sizes[: self.part]))


class EditedStream(Step):
    """A stream in which `rows` are deleted, replaced or duplicated between steps `first` and `last` (end exclusive)."""

    base: Step
    rows: Step
    kind: EditKind
    first: int = Field(ge=0)
    last: int = Field(ge=1)
    match: Step | None = None
    """Duplicate as many presentations as these rows have in the window; by default as many as `rows` have."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Insert so many presentations instead: this share of all that the window has."""
    budget: Budget = "constant"
    seed: int

    def execute(self, folder: Path, context: Context) -> None:
        """Apply the edit and save the stream."""
        stream = Stream.load(context.get(self.base))
        rows = load_rows(context.get(self.rows))
        window, seed = (self.first, self.last), derive(self.seed, "edit", self.kind)
        if self.kind == "delete":
            edited = delete(stream, rows, window)
        elif self.kind == "replace":
            others = np.setdiff1d(np.unique(stream.rows), rows)
            edited = replace(stream, rows, others, window, seed=seed)
        else:
            presentations = self._presentations(stream, rows, context)
            edited = duplicate(stream, rows, window, presentations=presentations, budget=self.budget, seed=seed)
        edited.save(folder)

    def _presentations(self, stream: Stream, rows: np.ndarray, context: Context) -> int:
        if self.share is not None:
            return max(1, round(self.share * (self.last - self.first) * stream.batch))
        matched = rows if self.match is None else load_rows(context.get(self.match))
        return int(occurrences(stream, matched, (self.first, self.last)).sum())


def load_rows(folder: Path) -> np.ndarray:
    """The row indices that a step saved."""
    rows: np.ndarray = np.load(folder / ROWS_FILE)
    return rows.astype(np.int64)
