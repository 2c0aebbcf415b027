"""Variance findings as charts and table rows: pipelines by condition, and where the variance comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.anchors import anchors
from imprint.report.charts import Figure, Layer
from imprint.report.wording import MISSING, interval, number, p_words, percent, visible
from imprint.stats import Component, Effect, FTest, OneWay, TwoWay, Undefined
from imprint.studies.variance import Condition, VarianceFinding

_ROW = 34
_NEGATIVE = "was estimated below 0 and is drawn as 0: conditions differ less than the noise inside them would make them"


@dataclass(frozen=True, kw_only=True, slots=True)
class VarianceView:
    """One finding, with its charts."""

    finding: VarianceFinding
    pipelines: Figure
    components: Figure
    tests: tuple[tuple[str, str, float | None], ...]
    """Name, what was found, p."""
    rows: tuple[dict[str, Any], ...]
    """The components: level, nodes, variance, reml, test."""

    @property
    def answer(self) -> str:
        """The finding's answer as a sentence."""
        return f"{self.finding.answer[:1].upper()}{self.finding.answer[1:]}."

    @property
    def chip(self) -> str:
        """The look of the verdict."""
        return {"differ": "supported", "no sign": "plain", "cannot tell": "inconclusive"}[self.finding.verdict]

    @property
    def figures(self) -> tuple[Figure, Figure]:
        """Both charts, in reading order."""
        return self.pipelines, self.components


def variance_views(findings: Sequence[VarianceFinding]) -> list[VarianceView]:
    """Every finding as the template `variance.html.j2` reads it."""
    names = [(finding.metric,) for finding in findings]
    return [
        VarianceView(
            finding=finding,
            pipelines=pipelines_figure(finding, name=first),
            components=components_figure(finding, name=second),
            tests=tuple(_tests(finding)),
            rows=tuple(_table_row(one) for one in finding.components),
        )
        for finding, first, second in zip(
            findings, anchors("variance-pipelines", names), anchors("variance-components", names), strict=True
        )
    ]


def pipelines_figure(finding: VarianceFinding, *, name: str = "variance-pipelines") -> Figure:
    """Every pipeline as a point, conditions by falling mean, with the mean and its interval where there is one."""
    ordered = sorted(finding.conditions, key=_centre, reverse=True)
    words = "; ".join(f"{one.name}: {_words(one)}" for one in ordered)
    return Figure(
        name=name,
        title=f"{finding.metric}: pipelines by condition",
        alt=f"{finding.metric} of every pipeline by condition. {words}.",
        spec=_pipelines_spec(finding.metric, ordered),
        note="a hollow point is one pipeline; the full point is the condition's mean with its 95 % interval",
    )


def components_figure(finding: VarianceFinding, *, name: str = "variance-components") -> Figure:
    """The variance that every level adds, as its share of the sum of all that are above 0."""
    shares = drawn_shares(finding.components)
    below = [one.level for one in finding.components if _estimate(one) < 0]
    words = "; ".join(f"{one.level} {percent(share)}" for one, share in zip(finding.components, shares, strict=True))
    notes = [f"{visible(level)} {_NEGATIVE}" for level in below]
    return Figure(
        name=name,
        title=f"{finding.metric}: where the variance comes from",
        alt=f"Share of the variance of {finding.metric} by level. {words}.{' ' if notes else ''}{'; '.join(notes)}",
        spec=_components_spec(finding.components, shares),
        note="; ".join(notes),
    )


def drawn_shares(components: Sequence[Component]) -> list[float]:
    """Shares of the summed variances with negative ones taken as 0; all 0 where nothing varies."""
    variances = [max(0.0, _estimate(one)) for one in components]
    total = sum(variances)
    return [variance / total if total > 0 else 0.0 for variance in variances]


def _estimate(component: Component) -> float:
    return component.variance.estimate if isinstance(component.variance, Effect) else 0.0


def _centre(condition: Condition) -> float:
    values = [one.value for one in condition.pipelines]
    return sum(values) / len(values)


def _words(condition: Condition) -> str:
    """A mean with its interval, or the lone pipeline's value."""
    mean = condition.mean
    if isinstance(mean, Undefined):
        return f"{number(_centre(condition))} (one pipeline)"
    return f"{number(mean.estimate)} {interval(mean.low, mean.high)}"


def _pipelines_spec(metric: str, ordered: Sequence[Condition]) -> charts.Spec:
    """Points of pipelines, whiskers and means, a row a condition."""
    points = [
        {"condition": one.name, "seed": pipeline.seed, "value": pipeline.value, "words": number(pipeline.value, 4)}
        for one in ordered
        for pipeline in one.pipelines
    ]
    means = [
        {
            "condition": one.name,
            "value": one.mean.estimate,
            "low": one.mean.low,
            "high": one.mean.high,
            "words": _words(one),
        }
        for one in ordered
        if isinstance(one.mean, Effect)
    ]
    names = [visible(one.name) for one in ordered]
    axis = alt.Axis(domain=False, ticks=False, labelFontSize=12)
    y = alt.Y("condition:N", title=None, sort=names, axis=axis)
    x = alt.X("value:Q", title=visible(metric), scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    base = alt.Chart().encode(y=y)
    whiskers = base.mark_rule(strokeWidth=2, strokeCap="round", color=charts.ACCENT).encode(
        x=alt.X("low:Q", title=visible(metric)), x2="high:Q", tooltip=[alt.Tooltip("words:N", title="mean")]
    )
    centres = base.mark_point(filled=True, size=95, opacity=1, color=charts.ACCENT).encode(
        x=x, tooltip=[alt.Tooltip("condition:N"), alt.Tooltip("words:N", title="mean")]
    )
    tips = [
        alt.Tooltip("condition:N"),
        alt.Tooltip("seed:N", title="pipeline seed"),
        alt.Tooltip("words:N", title="value"),
    ]
    dots = base.mark_point(size=60, strokeWidth=1.8, opacity=1, stroke=charts.INK).encode(x=x, tooltip=tips)
    layers = [Layer(chart=whiskers, rows=means), Layer(chart=centres, rows=means), Layer(chart=dots, rows=points)]
    return charts.layered(*(layer for layer in layers if layer.rows), height=_ROW * len(ordered))


def _components_spec(components: Sequence[Component], shares: Sequence[float]) -> charts.Spec:
    """A bar a level, its share written at the end."""
    rows = [_component_row(one, share) for one, share in zip(components, shares, strict=True)]
    names = [visible(one.level) for one in components]
    y = alt.Y(
        "level:N", title=None, sort=names, axis=alt.Axis(domain=False, ticks=False, labelFontSize=12, labelLimit=200)
    )
    scale = alt.Scale(domain=[0, 1.15], nice=False)
    x = alt.X(
        "share:Q", title="share of the variance", scale=scale, axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    )
    tips = [
        alt.Tooltip("level:N"),
        alt.Tooltip("variance:N"),
        alt.Tooltip("reml:N", title="REML"),
        alt.Tooltip("nodes:Q"),
    ]
    base = alt.Chart().encode(y=y, x=x, tooltip=tips)
    bars = base.mark_bar(size=16, cornerRadiusEnd=2).encode(color=charts.color("color"))
    texts = base.mark_text(align="left", dx=6, fontSize=12, color=charts.INK).encode(text="label:N")
    return charts.layered(Layer(chart=bars, rows=rows), Layer(chart=texts, rows=rows), height=_ROW * len(rows))


def _component_row(component: Component, share: float) -> dict[str, Any]:
    """What the chart needs to draw one level."""
    return _table_row(component) | {
        "share": share,
        "label": "0 (estimate below 0)" if _estimate(component) < 0 else percent(share),
        "color": charts.ACCENT if component.level.startswith("condition") else "var(--ink-3)",
    }


def _table_row(component: Component) -> dict[str, Any]:
    """One level in words."""
    variance, test = component.variance, component.f
    return {
        "level": component.level,
        "nodes": component.nodes,
        "variance": MISSING if isinstance(variance, Undefined) else _words_of(variance),
        "reml": number(component.reml) if isinstance(component.reml, float) else MISSING,
        "test": test.reason if isinstance(test, Undefined) else f"{_f_words(test)}, {p_words(test.p)}",
    }


def _words_of(effect: Effect) -> str:
    """An estimate with its interval."""
    return f"{number(effect.estimate)} {interval(effect.low, effect.high)}"


def _tests(finding: VarianceFinding) -> list[tuple[str, str, float | None]]:
    """Every test that the design has."""
    rows: list[tuple[str, str, float | None]] = []
    shuffled, once, crossed, ratio = finding.permutation, finding.one_way, finding.two_way, finding.range_ratio
    if not isinstance(shuffled, Undefined):
        drawn = "all arrangements" if shuffled.exact else f"{number(shuffled.draws)} random arrangements"
        rows.append(("whole pipelines shuffled over conditions", drawn, shuffled.p))
    if isinstance(once, OneWay):
        rows.append(_f_row("condition", once.f))
        for name, effect in (
            ("ICC(1)", once.icc),
            ("\u03b7\u00b2", once.eta_squared),
            ("\u03c9\u00b2", once.omega_squared),
        ):
            if isinstance(effect, Effect):
                rows.append((name, _words_of(effect), None))
    if isinstance(crossed, TwoWay):
        rows += [_f_row("condition, seeds as blocks", crossed.condition), _f_row("seed block", crossed.block)]
    if not isinstance(ratio, Undefined):
        chance = f"{number(ratio.ratio)}; by chance {number(ratio.null_median)}, in 95 % below {number(ratio.null_95)}"
        rows.append((f"range of means over {ratio.spread}", chance, ratio.permutation_p))
    return rows


def _f_row(name: str, test: FTest | Undefined) -> tuple[str, str, float | None]:
    if isinstance(test, Undefined):
        return name, test.reason, None
    return name, _f_words(test), test.p


def _f_words(test: FTest) -> str:
    return f"F({number(test.numerator_df)}, {number(test.denominator_df)}) = {number(test.statistic)}"
