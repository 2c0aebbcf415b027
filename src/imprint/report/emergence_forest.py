"""What every arm did to one node: a row an arm, its interval, its estimate at each scale, and the margin around zero."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.anchors import anchors
from imprint.report.charts import Figure, Layer
from imprint.report.emergence_records import ArmEffectRecord
from imprint.report.wording import number, p_value, signed, visible, with_interval

_ROW = 26
_ABILITY = "ability"


def figures(effects: Sequence[ArmEffectRecord]) -> list[Figure]:
    """One chart a node with an effect that was measured, abilities first and with one horizontal scale."""
    measured = [one for one in effects if one.found is not None]
    nodes = sorted(dict.fromkeys((one.kind != _ABILITY, one.effect) for one in measured), key=lambda pair: pair[0])
    names = anchors("effects", [(node,) for _, node in nodes])
    span = [end for one in measured if one.kind == _ABILITY for end in _ends(one)]
    return [
        _figure([one for one in measured if one.effect == node], name, [] if other else span)
        for (other, node), name in zip(nodes, names, strict=True)
    ]


def label(one: ArmEffectRecord) -> str:
    """The arm, with what it sets where it sets several nodes and the others are held."""
    return f"{one.arm}: {one.cause}, {', '.join(one.held)} held" if one.held else one.arm


def _figure(effects: Sequence[ArmEffectRecord], name: str, span: Sequence[float]) -> Figure:
    node, kind = effects[0].effect, effects[0].kind
    unit = "chance-corrected score" if kind == _ABILITY else node
    words = "; ".join(f"{label(one)}: {_words(one)}, {one.word}" for one in effects)
    return Figure(
        name=name,
        title=node,
        alt=f"Change of {unit} in {node} by arm against the untouched runs. {words}.",
        spec=_spec(effects, f"change of the {unit}" if kind == _ABILITY else f"change of {visible(node)}", span),
    )


def _words(one: ArmEffectRecord) -> str:
    assert one.found is not None
    return with_interval(one.found.estimate, one.found.low, one.found.high)


def _ends(one: ArmEffectRecord) -> list[float]:
    """All that is drawn of an effect."""
    assert one.found is not None
    ends = [one.found.low, one.found.high, *(point.estimate for point in one.by_scale)]
    return [end for end in ends if end is not None]


def _spec(effects: Sequence[ArmEffectRecord], title: str, span: Sequence[float]) -> charts.Spec:
    """The common drawing with these effects, layer by layer as in `_template`."""
    drawn = [_row(one) for one in effects]
    points = [
        {"label": label(one), "value": point.estimate, "scale": point.scale, "words": signed(point.estimate)}
        for one in effects
        for point in one.by_scale
    ]
    half, ends = effects[0].margin, (min(span, default=0.0), max(span, default=0.0))
    cover = [{"value": value} for value in ends]
    rows: list[Sequence[charts.Row]] = [[{"low": -half, "high": half}], [{"zero": 0}], drawn, points, drawn, cover]
    return {
        **_template(title),
        "height": _ROW * len({row["label"] for row in drawn}),
        "datasets": {f"layer-{place}": charts.table(layer) for place, layer in enumerate(rows)},
    }


@cache
def _template(title: str) -> charts.Spec:
    """Margin, zero, intervals, scales as small diamonds, estimates (hollow where nothing was found), and what to cover."""
    axis = alt.Axis(domain=False, ticks=False, labelFontSize=12, labelLimit=170)
    y = alt.Y("label:N", title=None, sort=None, axis=axis)
    x = alt.X("low:Q", title=title, axis=alt.Axis(tickCount=5))
    base = alt.Chart().encode(y=y, tooltip=[alt.Tooltip(f"{name}:N", title=title) for name, title in _TIPS.items()])
    margin = alt.Chart().mark_rect(color="var(--window)").encode(x=x, x2="high:Q")
    zero = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(x=alt.X("zero:Q"))
    whiskers = base.mark_rule(strokeWidth=2, strokeCap="round").encode(x=x, x2="high:Q", color=charts.color("color"))
    scales = alt.Chart().mark_point(shape="diamond", size=30, strokeWidth=1.2, opacity=0.75, stroke=charts.MUTED)
    scales = scales.encode(x="value:Q", y=y, tooltip=[alt.Tooltip("scale:N"), alt.Tooltip("words:N", title="change")])
    dots = base.mark_point(filled=True, size=85, strokeWidth=2, opacity=1).encode(
        x="estimate:Q", stroke=alt.Stroke("color:N", scale=None), fill=alt.Fill("fill:N", scale=None)
    )
    cover = alt.Chart().mark_point(opacity=0, tooltip=None).encode(x="value:Q")
    layers = (margin, zero, whiskers, scales, dots, cover)
    return charts.layered(*(Layer(chart=layer, rows=()) for layer in layers), height=_ROW)


_TIPS = {
    "label": "arm",
    "sets": "sets",
    "words": "change",
    "sd": "in sd of untouched runs",
    "q": "q",
    "outcome": "outcome",
}


def _row(one: ArmEffectRecord) -> dict[str, Any]:
    found = one.found
    assert found is not None
    color = charts.ACCENT if one.matters else "var(--ink-3)"
    return {
        "label": label(one), "sets": one.cause, "estimate": found.estimate, "low": found.low, "high": found.high,
        "words": _words(one), "sd": number(one.in_control_sd), "q": p_value(one.q), "outcome": one.word,
        "color": color, "fill": color if one.matters else "var(--paper)",
    }  # fmt: skip
