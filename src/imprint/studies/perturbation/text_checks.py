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
from imprint.stats.resampling import bootstrap_interval
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

    def specific(self, *, seed: int) -> Effect:
        """Rise beyond the control on the cluster's own text, minus the same on other text."""
        inside, outside = (values[:, 0] - values[:, 1] for values in (self._of(own=True), self._of(own=False)))
        low, high = bootstrap_interval((inside, outside), _difference_of_means, seed=seed)
        estimate = float(inside.mean() - outside.mean())
        return Effect(
            estimate=estimate,
            low=min(low, estimate),
            high=max(high, estimate),
            n=min(len(inside), len(outside)),
            unit="document",
            control="other text, each beyond the control",
            metric=RISE,
        )

    @property
    def passed(self) -> bool:
        """Whether it harms its own cluster's text beyond its control, and more so than other text."""
        return self.beyond_control(seed=0).low > 0 and self.specific(seed=0).low > 0

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


def _difference_of_means(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(first.mean(axis=axis) - second.mean(axis=axis))


def own_against_others(
    checks: Sequence[TextCheck],
) -> tuple[Float64[np.ndarray, "document"], Float64[np.ndarray, "document"]]:
    """For each held-out document: its rise under its own cluster's perturbations, and its mean rise under the others'.

    Compared within each family and then averaged over families, so that a cluster without one family is not compared with
    another kind of perturbation; the same text stands on both sides, so how easy it is to disturb cancels.
    """
    own, others = [], []
    for place in dict.fromkeys(place for check in checks for place in check.rises):
        pairs = [
            pair for family in dict.fromkeys(check.family for check in checks) if (pair := _pair(checks, family, place))
        ]
        if pairs:
            own.append(np.mean([mine for mine, _ in pairs]))
            others.append(np.mean([theirs for _, theirs in pairs]))
    return np.array(own), np.array(others)


def _pair(checks: Sequence[TextCheck], family: str, place: tuple[str, int]) -> tuple[float, float] | None:
    """The document's rise under its own cluster's perturbation of a family and the mean under the others'; None if one lacks."""
    mine = [check.rises[place][0] for check in checks if check.family == family and check.cluster == place[0]]
    theirs = [check.rises[place][0] for check in checks if check.family == family and check.cluster != place[0]]
    return (float(np.mean(mine)), float(np.mean(theirs))) if mine and theirs else None
