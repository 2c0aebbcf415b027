"""What each allocation policy pays until the target, over what the oracle pays: a row a policy, cheapest first."""

from typing import Any

import altair as alt

from imprint.emergence.allocation import OURS
from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.emergence_records import AllocationRecord
from imprint.report.records import EffectRecord
from imprint.report.wording import interval, number

_ROW = 25


def figure(record: AllocationRecord) -> Figure:
    """The policies, on a logarithmic axis since they are factors."""
    words = "; ".join(
        f"{name}: {number(one.estimate)} {interval(one.low, one.high)}" for name, one in record.over_oracle
    )
    return Figure(
        name="allocation",
        title="Compute over the oracle's",
        alt=f"Compute of each policy until the target over that of the oracle, cheapest first. {words}.",
        spec=_spec(record),
        note="geometric mean over abilities; full: freeze-thaw",
        wide=True,
    )


def _spec(record: AllocationRecord) -> charts.Spec:
    rows = [_row(name, one) for name, one in record.over_oracle]
    axis = alt.Axis(domain=False, ticks=False, labelFontSize=12, labelLimit=220)
    scale = alt.Scale(type="log", nice=False, padding=12)
    x = alt.X(
        "low:Q", title="times the oracle's compute", scale=scale, axis=alt.Axis(tickCount=6, format="~g", grid=False)
    )
    base = alt.Chart().encode(
        y=alt.Y("policy:N", title=None, sort=None, axis=axis),
        tooltip=[alt.Tooltip("policy:N"), alt.Tooltip("words:N", title="times the oracle")],
    )
    one = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(x=alt.X("one:Q", scale=scale))
    whiskers = base.mark_rule(strokeWidth=2, strokeCap="round").encode(x=x, x2="high:Q", color=charts.color("color"))
    dots = base.mark_point(filled=True, size=85, strokeWidth=2, opacity=1).encode(
        x=alt.X("estimate:Q", scale=scale),
        stroke=alt.Stroke("color:N", scale=None),
        fill=alt.Fill("fill:N", scale=None),
    )
    return charts.layered(
        Layer(chart=one, rows=[{"one": 1}]),
        Layer(chart=whiskers, rows=rows),
        Layer(chart=dots, rows=rows),
        height=_ROW * len(rows),
    )


def _row(name: str, one: EffectRecord) -> dict[str, Any]:
    color = charts.ACCENT if name == OURS else "var(--ink-3)"
    return {
        "policy": name, "estimate": one.estimate, "low": one.low, "high": one.high, "color": color,
        "words": f"{number(one.estimate)} {interval(one.low, one.high)}",
        "fill": color if name == OURS else "var(--paper)",
    }  # fmt: skip
