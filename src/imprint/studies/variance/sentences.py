"""The answer of a variance analysis in one sentence, and what a reader must know beside it."""

import numpy as np

from imprint.stats import ConditionPermutation, Nest, OneWay, TwoWay, Undefined
from imprint.stats.nest import pipeline_means
from imprint.studies.variance.detectable import Detectable, fewest_pipelines
from imprint.studies.variance.finding import VarianceVerdict


def verdict_of(shuffled: ConditionPermutation, alpha: float) -> VarianceVerdict:
    """By the permutation p, where the design allows one below `alpha`."""
    if shuffled.smallest_p > alpha:
        return "cannot tell"
    return "differ" if shuffled.p <= alpha else "no sign"


def answer_of(metric: str, once: OneWay, shuffled: ConditionPermutation, seen: Detectable, sd: float) -> str:
    """The verdict in words, with the numbers that it rests on."""
    evidence = f"permutation p = {shuffled.p:.3g}{_f_words(once)}"
    verdict = verdict_of(shuffled, seen.alpha)
    if verdict == "differ":
        return f"conditions differ beyond their pipelines in {metric} ({evidence})"
    if verdict == "no sign":
        return (
            f"no sign that conditions differ beyond their pipelines in {metric} ({evidence}); a true range of condition means "
            f"of {seen.range_sds:.1f} sd of a pipeline ({seen.range_sds * sd:.3g}) would have been missed one time in five"
        )
    return (
        f"this design cannot tell whether conditions differ in {metric}, because no effect, however large, can give a "
        f"permutation p below {shuffled.smallest_p:.3g}: run at least {fewest_pipelines(seen.conditions, seen.alpha)} "
        f"pipelines of every condition ({evidence})"
    )


def refusal_of(nest: Nest) -> str:
    """Why one pipeline a condition says nothing about conditions, and what would."""
    inside = "last-stage seeds" if nest.stages is not None else "evaluation samples"
    return (
        f"this design cannot tell whether conditions differ in {nest.metric}, because {inside} of one pipeline are not "
        "independent: run at least 2, better 5, pipeline seeds of every condition from the first stage that differs on, one "
        "last-stage seed each"
    )


def notes_of(
    nest: Nest, shuffled: ConditionPermutation, once: OneWay, crossed: TwoWay | Undefined, alpha: float
) -> list[str]:
    """What a reader must know before trusting the answer."""
    found = [shuffled.note] if shuffled.note else []
    if np.ptp(pipeline_means(nest).sizes):
        found.append("unequal numbers of pipelines: the permutation assumes equal spread, and no range ratio is taken")
    if not isinstance(once.icc, Undefined) and once.icc.estimate < 0:
        found.append(
            "a negative ICC means that conditions differ less than their pipelines' noise alone would make them"
        )
    if isinstance(crossed, TwoWay):
        found += _block_notes(crossed, alpha)
    return found


def _block_notes(crossed: TwoWay, alpha: float) -> list[str]:
    if isinstance(crossed.block, Undefined) or isinstance(crossed.condition, Undefined) or crossed.block.p > alpha:
        return []
    block, condition = crossed.block, crossed.condition
    return [
        f"pipelines of one seed move together in all conditions (seed block F = {block.statistic:.2f}, p = {block.p:.3f}): the "
        f"seed fixes something that conditions share; with it taken out the condition has F = {condition.statistic:.2f}, "
        f"p = {condition.p:.3f}"
    ]


def _f_words(once: OneWay) -> str:
    if isinstance(once.f, Undefined) or isinstance(once.icc, Undefined):
        return ""
    shape = f"F({once.f.numerator_df:g}, {once.f.denominator_df:g}) = {once.f.statistic:.3f}"
    return f", {shape}, ICC(1) = {once.icc.estimate:.3f} [{once.icc.low:.2f}, {once.icc.high:.2f}]"
