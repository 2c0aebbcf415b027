"""LDS: do the scores rank models that were really retrained on subsets of the rows?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64

from imprint.attribution.validation.subsets import Subsets
from imprint.errors import InputError
from imprint.stats import Effect
from imprint.stats.lds import NoiseCeiling, lds, lds_by_query, lds_difference, noise_ceiling

Seeds = Literal["own", "others"]
"""Which retrainings judge: of the run that was attributed, or of other initialisations and orders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrained:
    """What retraining on the subsets of one setting gave; every judgement of scores stays inside that setting.

    The first seed is the run whose scores are judged (same initialisation, same order). Given that run, the value of a
    subset is a deterministic function, so its LDS has no ceiling but 1; over other seeds the ceiling is that of `ceiling`.
    """

    subsets: Subsets
    values: Float64[np.ndarray, "seed subset query"]

    def __post_init__(self) -> None:
        """Refuse values of other subsets."""
        if self.values.shape[1] != len(self.subsets):
            raise InputError(f"values of {self.values.shape[1]} retrainings do not fit {len(self.subsets)} subsets.")

    @property
    def own(self) -> Float64[np.ndarray, "subset query"]:
        """Values of the run that was attributed, retrained."""
        return np.asarray(self.values[0])

    @property
    def others(self) -> Float64[np.ndarray, "subset query"]:
        """Mean values over the other seeds; of the one seed if there is no other."""
        return np.asarray((self.values[1:] if len(self.values) > 1 else self.values).mean(0))

    def lds(self, scores: Float[np.ndarray, "query row"], *, seeds: Seeds = "own", draws: int = 1000) -> Effect:
        """The LDS of scores (sum over kept rows), `seeds` "own" or "others", interval over subsets and queries."""
        name = f"chance 0 ({self.subsets.setting}, {seeds})"
        return lds(scores, self.subsets.kept, self._of(seeds), seed=0, control_name=name, draws=draws)

    def lds_by_query(
        self, scores: Float[np.ndarray, "query row"], *, seeds: Seeds = "own"
    ) -> Float64[np.ndarray, "query"]:
        """The LDS of every query by itself."""
        return lds_by_query(scores, self.subsets.kept, self._of(seeds))

    def lead(
        self,
        scores: Float[np.ndarray, "query row"],
        other: Float[np.ndarray, "query row"],
        *,
        control_name: str,
        seeds: Seeds = "own",
        draws: int = 1000,
    ) -> Effect:
        """How much higher the LDS of `scores` is than that of `other`: same subsets, same queries, resampled together."""
        kept, values = self.subsets.kept, self._of(seeds)
        return lds_difference(scores, other, kept, values, seed=0, control_name=control_name, draws=draws)

    def ceiling(self) -> NoiseCeiling:
        """Agreement between halves of the seeds."""
        return noise_ceiling(self.values, seed=0)

    def _of(self, seeds: Seeds) -> Float64[np.ndarray, "subset query"]:
        return self.own if seeds == "own" else self.others
