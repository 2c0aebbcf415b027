"""Row sets that are known without attribution: all rows of one planted kind, and as many random ones."""

from pathlib import Path

import numpy as np

from imprint.corpus import Packed
from imprint.interventions import ROWS_FILE, load_rows, random_rows
from imprint.runs import Context, Step, derive


class KindRows(Step):
    """All rows of one domain."""

    packed: Step
    kind: str

    def execute(self, folder: Path, context: Context) -> None:
        """Find and save the rows."""
        packed = Packed.load(context.get(self.packed))
        np.save(folder / ROWS_FILE, np.flatnonzero(packed.row_domains == self.kind))


class RandomRows(Step):
    """As many random rows as another set has, of any kind (also of the same): deletion that does not choose."""

    packed: Step
    like: KindRows
    seed: int

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save the rows."""
        count = load_rows(context.get(self.like))
        pool = np.arange(len(Packed.load(context.get(self.packed))))
        seed = derive(self.seed, "random rows")
        np.save(folder / ROWS_FILE, random_rows(count, pool, seed=seed, exclude_treated=False))
