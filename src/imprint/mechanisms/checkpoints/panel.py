"""One table, checkpoint by scalar, and its correlation with the outcomes of the conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from imprint.errors import InputError
from imprint.stats.few_points import PointCorrelation
from imprint.stats.gates import Sides
from imprint.stats.scalar_screen import ScalarScreen, scalar_screen


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Every scalar of every checkpoint; a checkpoint is one pipeline of a condition."""

    checkpoints: tuple[str, ...]
    conditions: tuple[str, ...]
    """Of each checkpoint."""
    scalars: Mapping[str, Float[np.ndarray, "_"]]
    """One value a checkpoint, in their order."""
    incomplete: tuple[str, ...]
    """Scalars that some checkpoint does not have, so they are in no test."""

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The conditions, each once, in order of appearance."""
        return tuple(dict.fromkeys(self.conditions))

    def condition_means(self) -> dict[str, Float[np.ndarray, "_"]]:
        """Every scalar's mean over the checkpoints of each condition, in order of `condition_names`."""
        member = np.array([[name == own for own in self.conditions] for name in self.condition_names])
        return {name: member @ values / member.sum(1) for name, values in self.scalars.items()}

    def frame(self) -> pl.DataFrame:
        """One row a checkpoint."""
        return pl.DataFrame({"checkpoint": self.checkpoints, "condition": self.conditions, **self.scalars})

    def against(
        self,
        outcomes: Mapping[str, Mapping[str, float]],
        *,
        statistic: PointCorrelation = "spearman",
        alternative: Sides = "two-sided",
        seed: int = 0,
    ) -> ScalarScreen:
        """All scalars against outcomes (outcome -> condition -> mean), corrected over everything in the panel.

        Raises:
            InputError: an outcome lacks a condition, or fewer than 4 conditions.

        Trust: n is the number of conditions, however many checkpoints they have.
        """
        columns = {name: self._column(name, values) for name, values in outcomes.items()}
        return scalar_screen(self.condition_means(), columns, statistic=statistic, alternative=alternative, seed=seed)

    def _column(self, name: str, values: Mapping[str, float]) -> Float[np.ndarray, "_"]:
        missing = [condition for condition in self.condition_names if condition not in values]
        if missing:
            raise InputError(f"the outcome {name} has no value for condition {missing[0]}: give one to each.")
        return np.array([values[condition] for condition in self.condition_names], dtype=np.float64)


def panel(
    measured: Mapping[str, Mapping[str, float]], conditions: Mapping[str, str] | Sequence[str] | None = None
) -> Panel:
    """The table of measured checkpoints (checkpoint -> scalar -> value); without `conditions` each is its own.

    Raises:
        InputError: no checkpoint, no scalar that all checkpoints have, or conditions that do not fit.
    """
    names = tuple(measured)
    if isinstance(conditions, Mapping):
        own = tuple(conditions.get(name, "") for name in names)
    else:
        own = names if conditions is None else tuple(conditions)
    if not names or len(own) != len(names) or "" in own:
        raise InputError(f"{len(names)} checkpoints and conditions {list(own)}: give every checkpoint a condition.")
    every = dict.fromkeys(scalar for values in measured.values() for scalar in values)
    shared = [scalar for scalar in every if all(scalar in values for values in measured.values())]
    if not shared:
        raise InputError("no scalar was measured at every checkpoint: measure all with the same settings.")
    return Panel(
        checkpoints=names,
        conditions=own,
        scalars={scalar: np.array([float(measured[name][scalar]) for name in names]) for scalar in shared},
        incomplete=tuple(scalar for scalar in every if scalar not in shared),
    )
