"""The same edits at several sizes: shared documents, what the smallest model found tried at others, what attribution costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from imprint.attribution import expected_overlap
from imprint.interventions.data import load_rows
from imprint.runs import Store
from imprint.stats import Effect, Undefined, power_exponent
from imprint.studies.mechanism.arms import Arm
from imprint.studies.mechanism.attributed import AttributedHead
from imprint.studies.mechanism.comparison import read_trajectories
from imprint.studies.mechanism.metrics import STRENGTH
from imprint.studies.mechanism.synthesis import Synthesis, synthetic_arm


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleFinding:
    """What was found at one size."""

    name: str
    parameters: int
    head: str
    transition: int
    window: tuple[int, int]
    strength: float
    """Final prefix matching of the strongest head of the untouched runs, mean over seeds."""
    shared_top: float
    """Share of its highest-ranked documents that are also the smallest model's highest-ranked."""
    chance: float
    """That share if the two rankings had no more in common than how much of each domain they rank highest."""
    cost_seconds: float | None
    """Processor seconds of the attribution; None: it was interrupted, so they were not measured as a whole."""


def here_and_there(heads: Sequence[AttributedHead], store: Store) -> list[ScaleFinding]:
    """One line a size, smallest first."""
    ordered = sorted(heads, key=lambda one: one.parameters)
    smallest = load_rows(store.get(ordered[0].top))
    findings = []
    for one in ordered:
        rows = load_rows(store.get(one.top))
        manifest = store.entry(one.attribution.key).manifest
        findings.append(
            ScaleFinding(
                name=one.study.scale,
                parameters=one.parameters,
                head=one.head,
                transition=one.transition,
                window=one.window,
                strength=_final_strength(one),
                shared_top=float(np.isin(rows, smallest).mean()),
                chance=expected_overlap(_mask(one, rows), _mask(one, smallest), one.packed.row_domains),
                cost_seconds=None if manifest.resumed else manifest.cpu_seconds,
            )
        )
    return findings


def _final_strength(one: AttributedHead) -> float:
    table, last = read_trajectories(one.untouched), one.study.training.steps
    return float(table.filter(pl.col("metric") == STRENGTH, pl.col("step") == last)["value"].to_numpy().mean())


def _mask(one: AttributedHead, rows: np.ndarray) -> np.ndarray:
    return np.isin(np.arange(len(one.packed)), rows)


def smallest_arms(one: AttributedHead, smallest: AttributedHead, of_smallest: Synthesis | None) -> list[Arm]:
    """What the smallest model found, tried at this size: its top documents deleted, its motifs' text added."""
    against = ("delete_domain", "delete_top")
    arms = [Arm(name="delete_smallest", kind="delete", rows=smallest.top, control="delete_random", against=against)]
    if of_smallest is not None:
        text = of_smallest.texts["synthetic"]
        arms.append(synthetic_arm(one.study, "synthetic_smallest", text, one.data))
    return arms


def at_scale(arm: Arm, scale: str) -> Arm:
    """The arm under the name that it has beside those of other sizes."""
    against = tuple(f"{one}@{scale}" for one in arm.against)
    return replace(arm, name=f"{arm.name}@{scale}", control=f"{arm.control}@{scale}", against=against)


def cost_exponent(findings: Sequence[ScaleFinding]) -> Effect | Undefined:
    """The power of the parameters by which attribution's processor time grows; below 1 is sub-linear (source 004's claim).

    Trust: a straight line through a handful of sizes of one family; small models are dominated by what does not depend on
    their size.
    """
    known = [(one.parameters, one.cost_seconds) for one in findings if one.cost_seconds]
    return power_exponent(
        [float(size) for size, _ in known],
        [cost for _, cost in known],
        metric="exponent of attribution cost",
        control="1, cost in proportion to the parameters",
    )
