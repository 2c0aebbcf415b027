"""What an outcome does without some conversations: every pipeline as a point, an arm a row."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.anchors import anchors
from imprint.report.charts import Figure, Layer
from imprint.report.susceptibility_records import RemovalRecord
from imprint.report.wording import count, number, visible

ARMS = {
    "untouched": "all conversations",
    "drivers": "without the drivers",
    "opposite": "without the opposite end",
    "random": "without random ones",
}
"""What each arm is called on the page."""
_ROW = 34


def figures(removals: Sequence[RemovalRecord], outcome: str, others: Sequence[float]) -> list[Figure]:
    """One chart a condition; `others` are the means of the others, towards which the drivers' removal should lead."""
    names = anchors("removal", [(one.condition,) for one in removals])
    return [_figure(one, outcome, mean, name) for one, mean, name in zip(removals, others, names, strict=True)]


def _figure(one: RemovalRecord, outcome: str, others: float, name: str) -> Figure:
    arms = [(ARMS[arm], one.outcomes[arm]) for arm in ARMS if arm in one.outcomes]
    words = "; ".join(f"{arm}: {', '.join(map(number, values))}" for arm, values in arms)
    return Figure(
        name=name,
        title=f"{one.condition}, without {count(one.removed, 'conversation')}",
        alt=f"{outcome} of {one.condition} by arm, a value a pipeline seed. {words}.",
        spec=_spec(arms, outcome, others),
        note="a hollow point is one pipeline, the full one their mean; dashed: the mean of the other conditions",
    )


def _spec(arms: Sequence[tuple[str, Sequence[float]]], outcome: str, others: float) -> charts.Spec:
    """Points, means and the line that the condition's drivers keep it from."""
    points = [_mark(arm, value) | {"seed": seed} for arm, values in arms for seed, value in enumerate(values)]
    means = [_mark(arm, fmean(values)) for arm, values in arms]
    axis = alt.Axis(domain=False, ticks=False, labelFontSize=12, labelLimit=180)
    y = alt.Y("arm:N", title=None, sort=[arm for arm, _ in arms], axis=axis)
    x = alt.X("value:Q", title=visible(outcome), scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("words:N", title="value")]
    base = alt.Chart().encode(x=x, y=y)
    line = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(x=alt.X("value:Q"))
    full = base.mark_point(filled=True, size=95, opacity=1).encode(color=charts.color("color"), tooltip=tips)
    dots = base.mark_point(size=60, strokeWidth=1.8, opacity=1, stroke=charts.INK).encode(
        tooltip=[alt.Tooltip("seed:Q", title="pipeline"), *tips]
    )
    return charts.layered(
        Layer(chart=line, rows=[{"value": others}]),
        Layer(chart=full, rows=means),
        Layer(chart=dots, rows=points),
        height=_ROW * len(arms),
    )


def _mark(arm: str, value: float) -> dict[str, Any]:
    color = charts.ACCENT if arm == ARMS["drivers"] else "var(--ink-3)"
    return {"arm": arm, "value": value, "words": number(value), "color": color}
