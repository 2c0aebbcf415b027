"""Variations: the harm of one perturbation as its layer, or the share of tokens that it touches, is changed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.influence_records import VariationRecord
from imprint.report.records import EffectRecord
from imprint.report.wording import visible, with_interval

_HEIGHT = 180


def figures(variations: Sequence[VariationRecord]) -> list[Figure]:
    """One chart a thing that is varied, cluster and ability, in order of appearance."""
    groups: dict[tuple[str, str, str], list[VariationRecord]] = defaultdict(list)
    for row in variations:
        groups[row.varied, row.cluster, row.ability].append(row)
    return [_figure(place, rows) for place, rows in enumerate(groups.values())]


def _figure(place: int, rows: Sequence[VariationRecord]) -> Figure:
    """Values across, harm up, each with its interval; hollow: the matched control."""
    first = rows[0]
    words = "; ".join(f"{row.value}: {_words(row.harm)}" for row in rows)
    return Figure(
        name=f"variation-{place}",
        title=f"{first.cluster} \u2192 {first.ability}, by {first.varied}",
        alt=f"Harm to {first.ability} from perturbing {first.cluster}, by {first.varied}. {words}.",
        spec=_spec(rows),
    )


def _words(effect: EffectRecord) -> str:
    """An effect as a number with its interval."""
    return with_interval(effect.estimate, effect.low, effect.high)


def _row(value: str, effect: EffectRecord, arm: str) -> dict[str, Any]:
    """One mark."""
    low, high = (effect.estimate if end is None else end for end in (effect.low, effect.high))
    color = charts.ACCENT if arm == "perturbation" else "var(--ink-3)"
    return {
        "value": value, "arm": arm, "harm": effect.estimate, "low": low, "high": high, "words": _words(effect),
        "color": color, "fill": color if arm == "perturbation" else "var(--paper)",
    }  # fmt: skip


def _spec(rows: Sequence[VariationRecord]) -> charts.Spec:
    """Zero line, whiskers, points; control and perturbation side by side."""
    drawn = [_row(row.value, row.harm, "perturbation") for row in rows]
    drawn += [_row(row.value, row.control, "matched control") for row in rows if row.control is not None]
    tips = [alt.Tooltip("value:N", title="at"), alt.Tooltip("arm:N"), alt.Tooltip("words:N", title="harm")]
    axis = alt.Axis(labelAngle=0, ticks=False, labelPadding=8, labelLimit=90)
    arms = alt.XOffset("arm:N", sort=["perturbation", "matched control"], scale=alt.Scale(paddingOuter=1))
    x = alt.X("value:N", title=visible(rows[0].varied), sort=None, axis=axis)
    base = alt.Chart().encode(x=x, xOffset=arms, tooltip=tips)
    zero = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(y="zero:Q")
    title = alt.Y("low:Q", title="harm (nats an item)", axis=alt.Axis(tickCount=5))
    whiskers = base.mark_rule(strokeWidth=2, strokeCap="round").encode(
        y=title, y2="high:Q", color=charts.color("color")
    )
    dots = base.mark_point(filled=True, size=80, strokeWidth=1.8, opacity=1).encode(
        y="harm:Q", stroke=alt.Stroke("color:N", scale=None), fill=alt.Fill("fill:N", scale=None)
    )
    layers = ((zero, [{"zero": 0.0}]), (whiskers, drawn), (dots, drawn))
    return charts.layered(*(Layer(chart=chart, rows=data) for chart, data in layers), height=_HEIGHT)
