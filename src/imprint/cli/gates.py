"""`imprint gates`: how often a registered threshold is passed by chance, and what a design can show."""

from typing import TYPE_CHECKING, Literal

from cyclopts import App

from imprint.cli.arguments import Count
from imprint.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from imprint.studies.variance import GateAnswer

gates = App(name="gates", help="How often a registered threshold is passed by chance, and what a design can show.")


@gates.command
def correlation(
    threshold: float,
    /,
    *,
    points: Count,
    statistic: Literal["spearman", "kendall", "pearson"] = "spearman",
    two_sided: bool = False,
    scalars: Count = 1,
    alpha: float = 0.05,
    json: bool = False,
) -> None:
    """The gate "correlation >= THRESHOLD" over few points: its false-positive rate, an honest threshold, its power.

    Args:
        threshold: The registered correlation, such as .7.
        points: Points that are correlated, such as 5 checkpoints.
        statistic: Which correlation.
        two_sided: Either sign passes.
        scalars: How many measures may pass it.
        alpha: The false-positive rate that would be honest, for all scalars together.
        json: Print JSON.
    """
    from imprint.studies.variance import judge_correlation

    sides: Literal["greater", "two-sided"] = "two-sided" if two_sided else "greater"
    _say(
        judge_correlation(threshold, points, statistic=statistic, sides=sides, scalars=scalars, alpha=alpha), json=json
    )


@gates.command
def accuracy(
    threshold: float,
    /,
    *,
    documents: Count,
    classes: Count,
    scalars: Count = 1,
    alpha: float = 0.05,
    json: bool = False,
) -> None:
    """The gate "accuracy >= THRESHOLD" of a classifier on held-out documents.

    Args:
        threshold: The registered accuracy, such as .8.
        documents: Independent held-out documents.
        classes: Classes of equal size, of which guessing hits one.
        scalars: How many classifiers may pass it.
        alpha: The false-positive rate that would be honest, for all scalars together.
        json: Print JSON.
    """
    from imprint.studies.variance import judge_accuracy

    _say(judge_accuracy(threshold, documents, chance=1 / classes, scalars=scalars, alpha=alpha), json=json)


@gates.command
def shift(
    sigmas: float,
    /,
    *,
    pipelines: Count,
    one_sided: bool = False,
    scalars: Count = 1,
    alpha: float = 0.05,
    json: bool = False,
) -> None:
    """The gate "the mean moved by >= SIGMAS standard deviations" between two arms of pipelines.

    Args:
        sigmas: The registered shift in sd of a pipeline, such as 1.
        pipelines: Pipelines in each arm; the sd is that of the control arm.
        one_sided: Only one direction passes.
        scalars: How many measures may pass it.
        alpha: The false-positive rate that would be honest, for all scalars together.
        json: Print JSON.
    """
    from imprint.studies.variance import judge_shift

    sides: Literal["greater", "two-sided"] = "greater" if one_sided else "two-sided"
    _say(judge_shift(sigmas, pipelines, sides=sides, scalars=scalars, alpha=alpha), json=json)


@gates.command
def conditions(number: Count, /, *, pipelines: Count, alpha: float = 0.05, json: bool = False) -> None:
    """What NUMBER conditions of so many pipelines can show four times in five: the smallest ICC and range of means.

    Args:
        number: Training conditions.
        pipelines: Pipelines (seeds of all stages) a condition.
        alpha: Level of the test.
        json: Print JSON.
    """
    from imprint.studies.variance import detectable

    found = detectable(conditions=number, pipelines=pipelines, alpha=alpha)
    if json:
        return print_json(found.as_dict())
    print_lines(
        [
            f"{number} conditions of {pipelines} pipelines show, four times in five at alpha = {alpha:g}, an ICC of "
            f"{found.icc:.2f} or more, or a range of true condition means of {found.range_sds:.1f} sd of a pipeline or more; "
            f"no permutation p is below {found.smallest_p:.2g}."
        ]
    )


def _say(answer: "GateAnswer", *, json: bool) -> None:
    if json:
        return print_json(answer.as_dict())
    print_lines([f"{answer.answer}."])
    if answer.power:
        rows = [(f"{one.truth:g}", f"{100 * one.power:.0f} %") for one in answer.power]
        print_table("Passed when there is something", ("true correlation", "power"), rows)
