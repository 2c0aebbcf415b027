"""One pipeline a condition: the variance components that can be estimated, and no word about conditions."""

from dataclasses import replace

import numpy as np

from imprint.stats import Component, Effect, Estimate, Nest, Undefined, Unit, nested_components
from imprint.stats.nest import nested_codes
from imprint.studies.variance.conditions import Condition, PipelineValue

_OUTER = "condition + pipeline seed"
_NO_TEST = "conditions and pipelines cannot be told apart here, so this F would be of both together"
_UNITS: dict[str, Unit] = {"stage seed": "run", "evaluation sample": "item"}


def single_pipelines(nest: Nest) -> bool:
    """Whether there are several conditions and none has a second pipeline."""
    codes = nested_codes(nest)
    conditions, pipelines = (int(codes[level].max()) + 1 for level in ("condition", "pipeline seed"))
    return 1 < conditions == pipelines


def single_values(nest: Nest) -> tuple[Condition, ...]:
    """Every condition with its one pipeline, that is, the mean of all of its values."""
    missing = Undefined(reason="one pipeline only: run at least 2")
    found = []
    for name in np.unique(nest.conditions):
        mine = nest.conditions == name
        only = PipelineValue(seed=str(nest.pipelines[mine][0]), value=float(nest.values[mine].mean()))
        found.append(Condition(name=str(name), pipelines=(only,), mean=missing))
    return tuple(found)


def inner_components(nest: Nest) -> tuple[Component, ...]:
    """The components of a nest with one pipeline a condition, condition and pipeline seed being one level.

    Raises:
        InputError: nothing repeats inside a pipeline.

    Trust: the outer component is what conditions and pipelines vary together; it says nothing about conditions.
    """
    inside, name = _one_level_up(nest)
    outer, *inner = nested_components(inside)
    pipelines = int(np.unique(nest.conditions).size)
    first = replace(
        outer,
        level=_OUTER,
        variance=_renamed(outer.variance, nest.metric, _OUTER, pipelines, "pipeline seed"),
        f=Undefined(reason=_NO_TEST),
    )
    return (first, *(_inner(component, name, nest.metric) for component in inner))


def _one_level_up(nest: Nest) -> tuple[Nest, str]:
    """The values with the level inside pipelines in their place, where the estimator looks for it, and that level's name."""
    runs = int(next(reversed(nested_codes(nest).values())).max()) + 1
    if nest.stages is not None and runs > np.unique(nest.conditions).size:
        return replace(nest, pipelines=nest.stages, stages=None), "stage seed"
    return replace(nest, pipelines=np.arange(nest.values.size), stages=None), "evaluation sample"


def _inner(component: Component, name: str, metric: str) -> Component:
    level = component.level.replace("pipeline seed", name)
    innermost = Undefined(reason=f"{level} is the innermost level: nothing inside it to test it against")
    return replace(
        component,
        level=level,
        variance=_renamed(component.variance, metric, level, component.nodes, _UNITS[level]),
        f=innermost if isinstance(component.f, Undefined) else component.f,
    )


def _renamed(variance: Estimate, metric: str, level: str, n: int, unit: Unit) -> Estimate:
    if not isinstance(variance, Effect):
        return variance
    return replace(variance, metric=f"variance of {metric} by {level}", n=n, unit=unit)
