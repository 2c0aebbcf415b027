"""Scalars of the conditions against outcomes: a scatter for each registered pair, and every pair as a table row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.anchors import anchors
from imprint.report.charts import Figure, Layer
from imprint.report.susceptibility_records import ScreenRecord
from imprint.report.wording import count, listing, number, p_value, signed, visible, with_interval
from imprint.stats import ScalarScreen, Undefined
from imprint.stats.scalar_screen import ScalarRow

_HEIGHT = 220
Means = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One scalar against one outcome, in words."""

    row: ScalarRow
    slope: str
    left_out: str
    flagged: str
    registered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenTable:
    """All pairs of one family; without any, the reason."""

    pairs: tuple[Pair, ...]
    correction: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenView:
    """What was registered and what was only looked at, apart, each corrected for its own family."""

    registered: ScreenTable
    explored: ScreenTable
    figures: tuple[Figure, ...]


def screen_view(record: ScreenRecord, means: Means, conditions: Sequence[str], room: str) -> ScreenView:
    """The screen of one room ("surface") as the page shows it; `conditions` in the order in which they were screened."""
    found = record.registered
    names = [] if isinstance(found, Undefined) else [(row.scalar, row.outcome) for row in found.rows]
    return ScreenView(
        registered=_table(found, conditions, names),
        explored=_table(record.explored, conditions, names),
        figures=tuple(_figures(record, means, conditions, room)),
    )


def _table(
    screen: ScalarScreen | Undefined, conditions: Sequence[str], registered: Sequence[tuple[str, str]]
) -> ScreenTable:
    if isinstance(screen, Undefined):
        return ScreenTable(pairs=(), correction="", reason=screen.reason)
    constant = f" The same in all conditions, so not among them: {listing(screen.constant)}." if screen.constant else ""
    correction = (
        f"Adjusted p: corrected for {count(screen.tried, 'pair')} of scalar and outcome over {count(screen.n, 'condition')}"
        f" (family-wise, {'all orders' if screen.exact else 'random orders'} of the conditions); none here can fall below"
        f" {p_value(screen.smallest_adjusted_p)}.{constant}"
    )
    return ScreenTable(pairs=tuple(_pair(row, conditions, registered) for row in screen.rows), correction=correction)


def _pair(row: ScalarRow, conditions: Sequence[str], registered: Sequence[tuple[str, str]]) -> Pair:
    found = row.correlation
    return Pair(
        row=row,
        slope=with_interval(found.slope.slope, found.slope.low, found.slope.high),
        left_out=f"{signed(found.low, 2)} to {signed(found.high, 2)}",
        flagged=listing([conditions[place] for place in found.flagged]),
        registered=(row.scalar, row.outcome) in registered,
    )


def _figures(record: ScreenRecord, means: Means, conditions: Sequence[str], room: str) -> list[Figure]:
    """A scatter for each registered pair."""
    if isinstance(record.registered, Undefined):
        return []
    rows = record.registered.rows
    names = anchors(f"{room}-scatter", [(row.scalar, row.outcome) for row in rows])
    return [
        _figure(row, _points(row, record.scalars[row.scalar], means[row.outcome], conditions), name)
        for row, name in zip(rows, names, strict=True)
    ]


def _points(
    row: ScalarRow, values: Mapping[str, float], outcome: Mapping[str, float], conditions: Sequence[str]
) -> list[dict[str, Any]]:
    """A condition each: hollow where the correlation is its own."""
    return [
        {
            "condition": name,
            "x": values[name],
            "y": outcome[name],
            "fill": "var(--paper)" if place in row.correlation.flagged else charts.ACCENT,
            "words": f"{number(values[name])}, {number(outcome[name])}",
        }
        for place, name in enumerate(conditions)
    ]


def _figure(row: ScalarRow, points: Sequence[Mapping[str, Any]], name: str) -> Figure:
    words = "; ".join(f"{point['condition']}: {point['words']}" for point in points)
    rho = f"\u03c1 = {signed(row.correlation.estimate, 2)}, adjusted p = {p_value(row.adjusted_p)}"
    return Figure(
        name=name,
        title=f"{row.scalar} and {row.outcome}",
        alt=f"{row.outcome} against {row.scalar} by condition, {rho}. {words}.",
        spec=_spec(row, points),
        note=f"{rho}; a hollow point is a condition without which \u03c1 moves by .5 or more",
    )


def _spec(row: ScalarRow, points: Sequence[Mapping[str, Any]]) -> charts.Spec:
    """Conditions as points with their names."""
    scale = alt.Scale(zero=False, padding=18)
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=visible(row.scalar), scale=scale, axis=alt.Axis(tickCount=5)),
        y=alt.Y("y:Q", title=visible(row.outcome), scale=scale, axis=alt.Axis(tickCount=5)),
        tooltip=[alt.Tooltip("condition:N"), alt.Tooltip("words:N", title="value, outcome")],
    )
    dots = base.mark_point(filled=True, size=80, strokeWidth=1.8, opacity=1, stroke=charts.ACCENT).encode(
        fill=alt.Fill("fill:N", scale=None)
    )
    names = base.mark_text(align="left", dx=8, dy=-6, fontSize=11, color=charts.MUTED).encode(text="condition:N")
    return charts.layered(Layer(chart=dots, rows=points), Layer(chart=names, rows=points), height=_HEIGHT)
