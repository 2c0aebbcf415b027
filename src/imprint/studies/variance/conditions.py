"""What each condition gave: its pipelines, their mean with an interval, and the sd that all conditions share."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from imprint.stats import Effect, Estimate, Nest, Undefined, pipeline_means


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineValue:
    """One pipeline of a condition, its last-stage seeds and samples averaged."""

    seed: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One training condition and what its pipelines gave, in units of the metric."""

    name: str
    pipelines: tuple[PipelineValue, ...]
    mean: Estimate
    """Over pipelines, with the t interval from the spread within all conditions."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {"name": self.name, "pipelines": [asdict(one) for one in self.pipelines], "mean": self.mean.as_dict()}


def within_sd(nest: Nest) -> tuple[float, int]:
    """The sd of a pipeline around the mean of its condition, pooled over conditions, and its degrees of freedom.

    Raises:
        InputError: conditions cannot be told from pipelines.
    """
    means = pipeline_means(nest)
    group = np.bincount(means.conditions, means.values) / means.sizes
    residual = means.values - group[means.conditions]
    df = means.values.size - means.sizes.size
    return float(np.sqrt(residual @ residual / df)), df


def conditions(nest: Nest, *, level: float = 0.95) -> tuple[Condition, ...]:
    """Every condition in the order of its label, its mean with the interval of `level`.

    Raises:
        InputError: conditions cannot be told from pipelines.

    Trust: assumes that pipelines spread equally in all conditions; the interval is one condition's own, so two that overlap
    may still differ, and of many the extremes look further apart than they are: F and the permutation judge them together.
    """
    means, (sd, df) = pipeline_means(nest), within_sd(nest)
    names = np.unique(nest.conditions)
    reach = float(stats.t.isf((1 - level) / 2, df)) * sd
    found = []
    for place, name in enumerate(names):
        mine = means.conditions == place
        values = tuple(
            PipelineValue(seed=str(seed), value=float(value))
            for seed, value in zip(means.seeds[mine], means.values[mine], strict=True)
        )
        mean = float(means.values[mine].mean())
        half = reach / np.sqrt(len(values))
        found.append(
            Condition(name=str(name), pipelines=values, mean=_mean(nest.metric, mean, half, len(values), level))
        )
    return tuple(found)


def _mean(metric: str, mean: float, half: float, n: int, level: float) -> Estimate:
    if n < 2:
        return Undefined(reason=f"one pipeline only ({mean:.4g}): run at least 2")
    return Effect(
        estimate=mean,
        low=float(mean - half),
        high=float(mean + half),
        n=n,
        unit="pipeline seed",
        control="none: a level",
        metric=metric,
        level=level,
        note="sd pooled over conditions",
    )
