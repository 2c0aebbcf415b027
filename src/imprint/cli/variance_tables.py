"""A variance finding as tables on standard output."""

from typing import TYPE_CHECKING

from imprint.cli.output import print_lines, print_table

if TYPE_CHECKING:
    from imprint.stats import Component, Estimate, FTest, OneWay, Undefined
    from imprint.studies.variance import Condition, Detectable, VarianceFinding

_VALUES_SHOWN = 5


def show_finding(finding: "VarianceFinding") -> None:
    """The answer, then conditions, tests, components, plans and published numbers."""
    print_lines([f"{finding.metric}: {finding.answer}.", ""])
    conditions = [(one.name, len(one.pipelines), _values(one), _estimate(one.mean)) for one in finding.conditions]
    print_table("Conditions", ("condition", "pipelines", "values", "mean [95 %]"), conditions)
    tests = _tests(finding)
    if tests:
        print_table("Conditions against pipelines", ("test", "found", "p"), tests)
    print_table(
        "Variance components (a negative one: less than the noise inside would give)",
        ("level", "nodes", "variance [95 %]", "share", "REML", "F", "p"),
        [_component(component) for component in finding.components],
    )
    print_table(
        f"Seen four times in five at alpha = {finding.alpha:g}",
        ("pipelines a condition", "ICC from", "range of means from (sd)", "smallest p"),
        [_plan(plan) for plan in finding.plans],
    )
    if finding.published:
        columns = ("what", "published", "from its cells", "", "instead")
        rows = [
            (one.what, one.published, one.recomputed, _word(one.consistent), one.explanation)
            for one in finding.published
        ]
        print_table("Published numbers", columns, rows)
    print_lines([*(f"Note: {note}." for note in finding.notes), ""])


def _tests(finding: "VarianceFinding") -> list[tuple[str, str, str]]:
    """Every test that this design has."""
    from imprint.stats import ConditionPermutation, OneWay, RangeRatio, TwoWay

    once, crossed, shuffled, ratio = finding.one_way, finding.two_way, finding.permutation, finding.range_ratio
    rows = []
    if isinstance(shuffled, ConditionPermutation):
        drawn = "exact" if shuffled.exact else f"{shuffled.draws} draws"
        rows.append(("pipelines shuffled over conditions", drawn, _p(shuffled.p)))
    if isinstance(once, OneWay):
        rows += [("condition, F", *_f(once.f)), *_shares(once)]
    if isinstance(crossed, TwoWay):
        rows += [("condition, F with seeds as blocks", *_f(crossed.condition)), ("seed block, F", *_f(crossed.block))]
    if isinstance(ratio, RangeRatio):
        chance = f"{ratio.ratio:.2f} (by chance {ratio.null_median:.2f}, 95 % below {ratio.null_95:.2f})"
        rows.append((f"range over {ratio.spread}", chance, _p(ratio.permutation_p)))
    return rows


def _shares(once: "OneWay") -> list[tuple[str, str, str]]:
    names = (("ICC(1)", once.icc), ("eta squared", once.eta_squared), ("omega squared", once.omega_squared))
    return [(name, _estimate(effect), "") for name, effect in names]


def _component(component: "Component") -> tuple[object, ...]:
    return (
        component.level,
        component.nodes,
        _estimate(component.variance),
        f"{100 * component.share:.1f} %" if isinstance(component.share, float) else "-",
        f"{component.reml:.4g}" if isinstance(component.reml, float) else "-",
        *_f(component.f),
    )


def _plan(plan: "Detectable") -> tuple[object, ...]:
    return plan.pipelines, f"{plan.icc:.2f}", f"{plan.range_sds:.1f}", f"{plan.smallest_p:.2g}"


def _values(condition: "Condition") -> str:
    shown = ", ".join(f"{one.value:.4g}" for one in condition.pipelines[:_VALUES_SHOWN])
    more = len(condition.pipelines) - _VALUES_SHOWN
    return f"{shown}, {more} more" if more > 0 else shown


def _estimate(estimate: "Estimate") -> str:
    from imprint.stats import Undefined

    if isinstance(estimate, Undefined):
        return "-"
    return f"{estimate.estimate:.4g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _f(test: "FTest | Undefined") -> tuple[str, str]:
    from imprint.stats import Undefined

    if isinstance(test, Undefined):
        return "-", "-"
    return f"{test.statistic:.3f} ({test.numerator_df:.3g}, {test.denominator_df:.3g})", _p(test.p)


def _p(p: float | None) -> str:
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def _word(consistent: bool) -> str:
    return "agrees" if consistent else "WRONG"
