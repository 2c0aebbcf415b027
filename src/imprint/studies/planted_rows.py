"""Row sets that are known without attribution: all rows of one planted kind, and as many random ones."""

from pathlib import Path

import numpy as np

from imprint.corpus import Packed
from imprint.interventions.data import ROWS_FILE, load_rows, random_rows
from imprint.runs import Context, Step, derive


class KindRows(Step):
    """The rows of one domain: all of them, or random ones that make up `fraction` of the whole corpus."""

    packed: Step
    kind: str
    fraction: float | None = None
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Find and save the rows."""
        packed = Packed.load(context.get(self.packed))
        rows = np.flatnonzero(packed.row_domains == self.kind)
        if self.fraction is not None:
            count = min(len(rows), round(self.fraction * len(packed)))
            chosen = np.random.default_rng(derive(self.seed, "kind rows")).permutation(rows)
            rows = np.sort(chosen[:count])
        np.save(folder / ROWS_FILE, rows)


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
