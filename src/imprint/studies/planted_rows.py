"""Row sets for planted worlds: all rows of one planted kind, as many random ones, and as many of equal loss but another kind."""

from pathlib import Path

import numpy as np

from imprint.attribution import Attribution
from imprint.corpus import Packed
from imprint.interventions.data import ROWS_FILE, load_rows, random_rows, value_matched_rows
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


class InnocentRows(Step):
    """For each row of another set the row of nearest loss that is not of the kind, each used once."""

    treated: Step
    kind: str
    losses: Attribution
    """Scored every row, and so knows its loss."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Match and save the rows."""
        packed = Packed.load(context.get(self.losses.packed))
        losses = np.load(context.get(self.losses) / "losses.npy")
        pool = np.flatnonzero(packed.row_domains != self.kind)
        treated, seed = load_rows(context.get(self.treated)), derive(self.seed, "innocent rows")
        np.save(folder / ROWS_FILE, value_matched_rows(treated, pool, losses, seed=seed))


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
