"""What the checks on held-out text say: whether a perturbation harms its own cluster's text more than other text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64

from imprint.runs import read_json
from imprint.stats import Effect, bootstrap_mean, paired_difference
from imprint.studies.perturbation.validation import CHANGES_FILE, LOSSES_FILE, CheckedPerturbation

RISE = "rise of the loss (nats a token)"
DRAWS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class TextCheck:
    """One perturbation on held-out text: rises of the loss by source document, and what moved inside the model."""

    cluster: str
    family: str
    dose: float
    rises: dict[tuple[str, int], tuple[float, float]]
    """(cluster, source document) -> rise under the perturbation and under its control."""
    changes: dict[str, Any]

    def own(self, *, seed: int) -> Effect:
        """Rise on the cluster's own text."""
        return self._rise(self._of(own=True), seed)

    def general(self, *, seed: int) -> Effect:
        """Rise on the text of the other clusters."""
        return self._rise(self._of(own=False), seed)

    def beyond_control(self, *, seed: int) -> Effect:
        """Rise on the cluster's own text minus that under the control."""
        values = self._of(own=True)
        return paired_difference(
            values[:, 0],
            values[:, 1],
            seed=seed,
            unit="document",
            control_name="the matched random perturbation",
            metric=RISE,
            draws=DRAWS,
        )

    def _of(self, *, own: bool) -> Float64[np.ndarray, "document 2"]:
        return np.array([value for (name, _), value in self.rises.items() if (name == self.cluster) == own])

    def _rise(self, values: Float64[np.ndarray, "document 2"], seed: int) -> Effect:
        return bootstrap_mean(
            values[:, 0], seed=seed, unit="document", control_name="the unperturbed model", metric=RISE, draws=DRAWS
        )


def read_check(folder: Path, step: CheckedPerturbation) -> TextCheck | None:
    """The check that a step left; None if there was nothing to perturb."""
    return read_losses(folder, cluster=step.cluster, family=step.family, dose=step.dose)


def read_losses(folder: Path, *, cluster: str, family: str, dose: float) -> TextCheck | None:
    """The losses in a folder, averaged over the passages of each source document: documents are the units."""
    frame = pl.read_parquet(folder / LOSSES_FILE)
    if "after" not in frame.columns:
        return None
    after, control = (pl.col(arm) - pl.col("before") for arm in ("after", "control"))
    averaged = frame.group_by("cluster", "source", maintain_order=True).agg(
        after.mean(), control.mean().alias("control")
    )
    return TextCheck(
        cluster=cluster,
        family=family,
        dose=dose,
        rises={(name, source): (rise, without) for name, source, rise, without in averaged.iter_rows()},
        changes=read_json(folder / CHANGES_FILE),
    )


def own_against_others(
    checks: Sequence[TextCheck],
) -> tuple[Float64[np.ndarray, "document"], Float64[np.ndarray, "document"]]:
    """For each held-out document: its rise under its own cluster's perturbations, and its mean rise under the others'.

    Averaged over families; the same text stands on both sides, so how easy it is to disturb cancels.
    """
    own, others = [], []
    for place in dict.fromkeys(place for check in checks for place in check.rises):
        mine = [check.rises[place][0] for check in checks if check.cluster == place[0]]
        theirs = [check.rises[place][0] for check in checks if check.cluster != place[0]]
        if mine and theirs:
            own.append(np.mean(mine))
            others.append(np.mean(theirs))
    return np.array(own), np.array(others)
