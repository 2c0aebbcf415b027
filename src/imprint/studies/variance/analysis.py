"""One metric of a table of outcomes to a `VarianceFinding`."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from imprint.errors import InputError
from imprint.stats import (
    Nest,
    PublishedCheck,
    Undefined,
    condition_permutation,
    nested_components,
    one_way,
    range_ratio,
    require_pipelines,
    two_way,
)
from imprint.stats.nest import pipeline_means
from imprint.studies.variance.conditions import conditions, within_sd
from imprint.studies.variance.detectable import PLANNED, Detectable, detectable
from imprint.studies.variance.finding import VarianceFinding
from imprint.studies.variance.outcomes import Outcomes
from imprint.studies.variance.published import PublishedNumbers, check_published
from imprint.studies.variance.sentences import answer_of, notes_of, refusal_of, verdict_of
from imprint.studies.variance.single_pipelines import inner_components, single_pipelines, single_values

Found = TypeVar("Found")


def analyse(
    table: Outcomes, metric: str, *, seed: int, alpha: float = 0.05, published: PublishedNumbers | None = None
) -> VarianceFinding:
    """Whether the table's conditions differ beyond their pipelines in one metric; `seed` is that of the permutations.

    Raises:
        InputError: no such metric, one condition, or one value a condition.

    Trust: pipelines must be independent runs of all stages from the first that differs; seeds of the last stage alone are
    refused as evidence. With few pipelines "no sign" is weak: read `detectable` beside it.
    """
    return analyse_nest(table.nest(metric), seed=seed, alpha=alpha, published=published, notes=table.notes)


def analyse_nest(
    nest: Nest,
    *,
    seed: int,
    alpha: float = 0.05,
    published: PublishedNumbers | None = None,
    notes: tuple[str, ...] = (),
) -> VarianceFinding:
    """The same for a nest that is already there.

    Raises:
        InputError: one condition, one value a condition, or `alpha` outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha} must lie strictly between 0 and 1: 0.05 is usual.")
    checks = check_published(published, metric=nest.metric) if published else ()
    if single_pipelines(nest) and nest.values.size > np.unique(nest.conditions).size:
        return _refused(nest, seed=seed, alpha=alpha, checks=checks, notes=notes)
    return _answered(nest, seed=seed, alpha=alpha, checks=checks, notes=notes)


def _answered(
    nest: Nest, *, seed: int, alpha: float, checks: tuple[PublishedCheck, ...], notes: tuple[str, ...]
) -> VarianceFinding:
    require_pipelines(nest)
    sizes, sd = pipeline_means(nest).sizes, within_sd(nest)[0]
    once, shuffled = one_way(nest), condition_permutation(nest, seed=seed)
    crossed = _if_designed(lambda: two_way(nest))
    seen = detectable(conditions=sizes.size, pipelines=max(2, int(sizes.min())), alpha=alpha)
    return VarianceFinding(
        metric=nest.metric,
        verdict=verdict_of(shuffled, alpha),
        answer=answer_of(nest.metric, once, shuffled, seen, sd),
        alpha=alpha,
        seed=seed,
        values=nest.values.size,
        sd_within=sd,
        conditions=conditions(nest),
        one_way=once,
        two_way=crossed,
        components=nested_components(nest),
        permutation=shuffled,
        range_ratio=_if_designed(lambda: range_ratio(nest, seed=seed)),
        detectable=seen,
        plans=_plans(sizes.size, alpha),
        published=checks,
        notes=(*notes, *notes_of(nest, shuffled, once, crossed, alpha)),
    )


def _refused(
    nest: Nest, *, seed: int, alpha: float, checks: tuple[PublishedCheck, ...], notes: tuple[str, ...]
) -> VarianceFinding:
    """One pipeline a condition: what can be estimated, and no number about conditions."""
    missing = Undefined(reason="one pipeline a condition: conditions and pipelines cannot be told apart")
    return VarianceFinding(
        metric=nest.metric,
        verdict="cannot tell",
        answer=refusal_of(nest),
        alpha=alpha,
        seed=seed,
        values=nest.values.size,
        sd_within=missing,
        conditions=single_values(nest),
        one_way=missing,
        two_way=missing,
        components=inner_components(nest),
        permutation=missing,
        range_ratio=missing,
        detectable=missing,
        plans=_plans(int(np.unique(nest.conditions).size), alpha),
        published=checks,
        notes=notes,
    )


def _plans(k: int, alpha: float) -> tuple[Detectable, ...]:
    return tuple(detectable(conditions=k, pipelines=n, alpha=alpha) for n in PLANNED)


def _if_designed(test: Callable[[], Found]) -> Found | Undefined:
    """The test, or why this design has none."""
    try:
        return test()
    except InputError as error:
        return Undefined(reason=str(error))
