"""Dose curves: the harm of one family of perturbation at each dose, beside that of its matched control."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.influence_records import CellRecord, DosePoint, FamilyRecord
from imprint.report.wording import number, signed, with_interval

_HEIGHT = 210
_WIDE_RANGE = 20.0
_MATCHED = "var(--ink-3)"


def figures(cell: CellRecord, anchor: str) -> list[Figure | None]:
    """One chart a family in the cell's order, all with one vertical scale; None for a family without a dose."""
    covered = _covered(cell)
    return [
        _figure(cell, family, name=f"{anchor}-dose-{place}", covered=covered) if family.points else None
        for place, family in enumerate(cell.families)
    ]


def _figure(cell: CellRecord, family: FamilyRecord, *, name: str, covered: Sequence[float]) -> Figure:
    """The chart of one family."""
    points = sorted(family.points, key=lambda point: point.dose)
    doses = "; ".join(_words(point) for point in points)
    return Figure(
        name=name,
        title=family.family,
        alt=f"Dose curve of {family.family} on {cell.ability} for {cell.cluster}. Harm by dose: {doses}.",
        spec=_spec(family, points, covered),
        note="dotted: half dose" if _half(family, points) else "",
    )


def _words(point: DosePoint) -> str:
    """One dose as a phrase."""
    control = "" if point.control is None else f", control {signed(point.control)}"
    return f"{number(point.dose)}: {with_interval(point.harm, point.low, point.high)}{control}"


def _covered(cell: CellRecord) -> tuple[float, ...]:
    """The lowest and the highest value in any of the cell's charts, which all must show."""
    values = [value for family in cell.families for point in family.points for value in _values(point)]
    return (min(values), max(values)) if values else ()


def _values(point: DosePoint) -> list[float]:
    """What is drawn of one dose."""
    drawn = (point.harm, point.low, point.high, point.control, point.control_low, point.control_high)
    return [value for value in drawn if value is not None]


def _spec(family: FamilyRecord, points: Sequence[DosePoint], covered: Sequence[float]) -> charts.Spec:
    """The common drawing with this family's numbers, layer by layer as in `_layers`; one without numbers is left out."""
    harm = [_row(point, point.harm, point.low, point.high) for point in points]
    control = [
        _row(point, point.control, point.control_low, point.control_high)
        for point in points
        if point.control is not None
    ]
    banded = [row for row in control if row["low"] is not None and row["high"] is not None]
    rows = [
        [{"zero": 0.0}], [{"value": value} for value in covered], _half(family, points), banded, control, control,
        harm, harm, harm,
    ]  # fmt: skip
    drawn = {place: charts.table(layer) for place, layer in enumerate(rows) if layer}
    shared = _template(_spans_decades(points))
    return {
        **shared,
        "layer": [shared["layer"][place] for place in drawn],
        "datasets": {f"layer-{place}": layer for place, layer in drawn.items()},
    }


def _row(point: DosePoint, value: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    """One mark with its words for the tooltip."""
    words = with_interval(value, low, high)
    return {"dose": point.dose, "value": value, "low": low, "high": high, "words": words}


def _half(family: FamilyRecord, points: Sequence[DosePoint]) -> list[dict[str, Any]]:
    """The half dose, where it lies among the doses that were tried."""
    half = family.half_dose
    tried = half is not None and points[0].dose <= half.estimate <= points[-1].dose
    return [{"dose": half.estimate, "words": number(half.estimate)}] if half is not None and tried else []


def _spans_decades(points: Sequence[DosePoint]) -> bool:
    """Whether the doses read better on a logarithmic axis: all positive and more than twentyfold apart."""
    return points[0].dose > 0 and points[-1].dose / points[0].dose > _WIDE_RANGE


@cache
def _template(logarithmic: bool) -> charts.Spec:
    """The drawing that all dose curves share, without numbers: checking it against the schema is what takes time."""
    return charts.layered(*(Layer(chart=layer, rows=()) for layer in _layers(logarithmic)), height=_HEIGHT)


def _layers(logarithmic: bool) -> list[alt.Chart]:
    """Zero, common span, half dose, control (band, line, points), harm (band, line, points)."""
    scale = alt.Scale(type="log", nice=False, padding=10) if logarithmic else alt.Scale(zero=True, padding=6)
    axis = alt.Axis(tickCount=5, grid=False, format="~g")
    x = alt.X("dose:Q", title="dose", scale=scale, axis=axis)
    y = alt.Y("value:Q", title="harm (nats an item)", axis=alt.Axis(tickCount=5))
    zero = alt.Chart().mark_rule(color=charts.MUTED, strokeWidth=1).encode(y=alt.Y("zero:Q"))
    span = alt.Chart().mark_point(opacity=0, tooltip=None).encode(y=y)
    half = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[2, 3])
    half = half.encode(x=x, tooltip=[alt.Tooltip("words:N", title="half dose")])
    tips = [alt.Tooltip("dose:Q", format="~g"), alt.Tooltip("words:N", title="harm")]
    base = alt.Chart().encode(x=x, y=y, tooltip=tips)
    return [zero, span, half, *_series(base, x, _MATCHED, "control"), *_series(base, x, charts.ACCENT, "harm")]


def _series(base: alt.Chart, x: alt.X, color: str, kind: str) -> list[alt.Chart]:
    """Band, line and points of one series; the control is dashed and hollow."""
    harm = kind == "harm"
    band = alt.Chart().mark_area(color=color, opacity=0.2 if harm else 0.16, line=False)
    line = base.mark_line(color=color, strokeWidth=2.2 if harm else 1.4, strokeDash=[1, 0] if harm else [5, 4])
    fill = color if harm else "var(--paper)"
    points = base.mark_point(filled=True, size=62, fill=fill, stroke=color, strokeWidth=1.6, opacity=1)
    return [band.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"), line, points]
