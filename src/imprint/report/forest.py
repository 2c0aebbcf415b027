"""Forest plots of the retraining effects: one chart a metric, a row an arm against its control, zero marked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.arms import Arm, arms
from imprint.report.charts import Figure, Layer
from imprint.report.glossary import Glossary
from imprint.report.model import EffectRow, ReportData
from imprint.report.wording import interval, p_value, signed

_ROW = 30


def figures(data: ReportData, glossary: Glossary) -> list[Figure]:
    """One forest plot a metric, in reading order."""
    rows: dict[str, list[EffectRow]] = defaultdict(list)
    for row in data.effects:
        rows[row.metric].append(row)
    looks = arms(data)
    return [
        Figure(
            name=f"effects-{place}",
            title=glossary.label(metric),
            alt=_alt(glossary.label(metric), rows[metric]),
            spec=_spec(rows[metric], looks),
            note=glossary[metric].note,
        )
        for place, metric in enumerate(glossary.order(set(rows)))
    ]


def _alt(label: str, rows: Sequence[EffectRow]) -> str:
    """Every effect of the chart in words."""
    parts = [f"{row.arm} against {row.control}: {signed(row.estimate)} {interval(row.low, row.high)}" for row in rows]
    return f"Effects on {label}. {'; '.join(parts)}."


def _label(row: EffectRow, rows: Sequence[EffectRow]) -> str:
    """The arm, with its control where the metric's rows have several."""
    return row.arm if len({other.control for other in rows}) == 1 else f"{row.arm} \u2212 {row.control}"


def _row(row: EffectRow, rows: Sequence[EffectRow], looks: Mapping[str, Arm]) -> dict[str, Any]:
    """What the chart needs to draw one effect."""
    color = "var(--ink-3)" if row.is_control else looks[row.arm].color
    return {
        "label": _label(row, rows), "arm": row.arm, "control": row.control, "estimate": row.estimate,
        "low": row.estimate if row.low is None else row.low, "high": row.estimate if row.high is None else row.high,
        "words": f"{signed(row.estimate)} {interval(row.low, row.high)}", "p": p_value(row.p), "n": row.n,
        "unit": row.unit, "color": color, "fill": "var(--paper)" if row.is_control else color,
    }  # fmt: skip


def _spec(rows: Sequence[EffectRow], looks: Mapping[str, Arm]) -> charts.Spec:
    """Zero line, intervals, estimates (hollow for controls)."""
    tips = [alt.Tooltip(f"{name}:N") for name in ("arm", "control", "words", "p", "n", "unit")]
    y = alt.Y("label:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelFontSize=12))
    base = alt.Chart().encode(y=y, tooltip=tips)
    zero = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(x="zero:Q")
    whiskers = base.mark_rule(strokeWidth=2, strokeCap="round").encode(
        x=alt.X("low:Q", title="change against the control", axis=alt.Axis(tickCount=5)),
        x2="high:Q",
        color=charts.color("color"),
    )
    dots = base.mark_point(filled=True, size=95, strokeWidth=2, opacity=1).encode(
        x="estimate:Q", stroke=alt.Stroke("color:N", scale=None), fill=alt.Fill("fill:N", scale=None)
    )
    drawn = [_row(row, rows, looks) for row in rows]
    return charts.layered(
        Layer(chart=zero, rows=[{"zero": 0}]),
        Layer(chart=whiskers, rows=drawn),
        Layer(chart=dots, rows=drawn),
        height=_ROW * len({_label(row, rows) for row in rows}),
    )
