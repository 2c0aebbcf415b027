"""Rows that a stage is to do without, and its order with their loss at weight 0, as content-addressed steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from imprint.attribution.stages.names import row_names
from imprint.attribution.stages.pipeline import edited, order_of, stage_back
from imprint.corpus import Stream
from imprint.errors import ConfigError
from imprint.interventions.data import ROWS_FILE, load_rows
from imprint.models.finetuning import FineTuning
from imprint.runs import Context, Step, derive


class NamedRows(Step):
    """Rows by their names, as `rows.npy`."""

    rows: Step
    names: tuple[str, ...] = Field(min_length=1)

    def execute(self, folder: Path, context: Context) -> None:
        """Find and save them."""
        np.save(folder / ROWS_FILE, _places(row_names(context.get(self.rows)), self.names))


class RandomPart(Step):
    """Every row with the same probability, independently of the others, as `rows.npy`."""

    rows: Step
    share: float = Field(default=0.5, gt=0, lt=1)
    seed: int = Field(ge=0)

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save them."""
        count = len(row_names(context.get(self.rows)))
        draws = np.random.default_rng(derive(self.seed, "left out")).random(count)
        np.save(folder / ROWS_FILE, np.flatnonzero(draws < self.share))


class WithoutRows(Step):
    """An order in which some rows have weight 0: the batches, their denominators and all other gradients stay as they were."""

    order: Step
    left_out: Step
    """What leaves `rows.npy`."""

    def execute(self, folder: Path, context: Context) -> None:
        """Set the weights and save; rows that the order does not hold are warned of."""
        stream, rows = Stream.load(context.get(self.order)), load_rows(context.get(self.left_out))
        never = int((~np.isin(rows, stream.rows)).sum())
        if never:
            context.warn(f"{never} of {len(rows)} rows to leave out are never drawn: without them nothing changes")
        weights = np.where(np.isin(stream.rows, rows), np.float32(0), stream.weights)
        replace(stream, weights=weights).save(folder)


def without(final: FineTuning, back: int, left_out: Step) -> FineTuning:
    """The pipeline whose stage `back` stages before the last does without these rows; all later stages follow from it.

    Raises:
        ConfigError: the pipeline has no such stage.
    """
    order = order_of(stage_back(final, back))
    return edited(final, back, WithoutRows(order=order, left_out=left_out))


def _places(known: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    place = {name: row for row, name in enumerate(known)}
    unknown = [name for name in names if name not in place]
    if unknown:
        raise ConfigError(
            f"the stage has no row called '{unknown[0]}'; its {len(known)} rows are called '{known[0]}', ..."
        )
    return np.array(sorted(place[name] for name in names), dtype=np.int64)
