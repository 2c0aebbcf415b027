"""Head heat maps: one metric, layers down, heads across; cells within the null are faded, chosen heads outlined."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.color_scale import ColorScale
from imprint.report.glossary import Glossary
from imprint.report.model import HeadRecord, ReportData
from imprint.report.wording import count, listing, number

_TEXT_FITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatMap:
    """A chart, the colours of its key from lowest to highest, and the same numbers as a table of rows."""

    figure: Figure
    key: tuple[str, ...]
    low: str
    high: str
    nulls: str
    heads: range
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def heat_maps(data: ReportData, glossary: Glossary) -> list[HeatMap]:
    """One heat map a metric, in reading order."""
    cells: dict[str, list[HeadRecord]] = defaultdict(list)
    for head in data.heads:
        cells[head.metric].append(head)
    ordered = enumerate(glossary.order(set(cells)))
    return [_heat_map(place, metric, cells[metric], data, glossary) for place, metric in ordered]


def stands_out(head: HeadRecord) -> bool | None:
    """Whether the value lies beyond its null, on the null's side of zero; None without a null."""
    if head.null is None:
        return None
    return head.value > head.null if head.null >= 0 else head.value < head.null


def _heat_map(place: int, metric: str, cells: list[HeadRecord], data: ReportData, glossary: Glossary) -> HeatMap:
    """The chart, its key and its table."""
    scale = ColorScale.of([cell.value for cell in cells])
    heads = range(max(cell.head for cell in cells) + 1)
    figure = Figure(
        name=f"heads-{place}",
        title=glossary.label(metric),
        alt=_alt(glossary.label(metric), cells),
        spec=_spec(cells, scale, set(data.chosen_heads)),
        note=glossary[metric].note,
    )
    return HeatMap(
        figure=figure, key=scale.colors, low=number(scale.low), high=number(scale.high), nulls=_nulls(cells),
        heads=heads, rows=_rows(cells, heads),
    )  # fmt: skip


def component(head: HeadRecord) -> str:
    """The head's address, such as "L1.H2"."""
    return f"L{head.layer}.H{head.head}"


def _cell(head: HeadRecord, scale: ColorScale, chosen: set[str]) -> dict[str, Any]:
    """What the chart needs to draw one head."""
    level = scale.level(head.value)
    name = component(head)
    beyond = {True: "beyond the null", False: "within the null", None: "no null was computed"}[stands_out(head)]
    return {
        "layer": head.layer, "head": head.head, "name": name, "value": head.value, "text": number(head.value, 2),
        "null": number(head.null), "beyond": beyond, "fill": f"var(--{scale.name}-{level})",
        "ink": f"var(--{scale.name}-ink-{level})", "opacity": 0.45 if stands_out(head) is False else 1,
        "stroke": charts.INK if name in chosen else "var(--paper)", "weight": 2.5 if name in chosen else 1,
    }  # fmt: skip


def _spec(cells: Sequence[HeadRecord], scale: ColorScale, chosen: set[str]) -> charts.Spec:
    """Coloured cells, and the numbers in them when they fit."""
    rows = sorted((_cell(cell, scale, chosen) for cell in cells), key=lambda row: bool(row["weight"] > 1))
    fits = max(cell.head for cell in cells) < _TEXT_FITS
    base = alt.Chart().encode(
        x=alt.X("head:O", title="head", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("layer:O", title="layer", axis=alt.Axis(domain=False, ticks=False)),
    )
    tips = [alt.Tooltip(f"{field}:N", title=field) for field in ("name", "value", "null", "beyond")]
    squares = base.mark_rect(cornerRadius=2).encode(
        color=charts.color("fill"),
        stroke=alt.Stroke("stroke:N", scale=None),
        strokeWidth=alt.StrokeWidth("weight:Q", scale=None),
        fillOpacity=alt.FillOpacity("opacity:Q", scale=None),
        tooltip=tips,
    )
    numbers = base.mark_text(fontSize=11).encode(text="text:N", color=charts.color("ink"))
    height = len({cell.layer for cell in cells}) * (36 if fits else 16)
    layers = [squares, numbers] if fits else [squares]
    return charts.layered(*(Layer(chart=layer, rows=rows) for layer in layers), height=height)


def _alt(label: str, cells: Sequence[HeadRecord]) -> str:
    """The strongest heads in one sentence."""
    strongest = sorted(cells, key=lambda cell: -abs(cell.value))[:3]
    words = listing([f"{component(cell)} {number(cell.value)}" for cell in strongest])
    return f"{label} of {count(len(cells), 'head')}. Largest: {words}. The numbers are in the table below the chart."


def _nulls(cells: Sequence[HeadRecord]) -> str:
    """How many heads stand out from their null, in words."""
    judged = [stands_out(cell) for cell in cells if cell.null is not None]
    if not judged:
        return "No null was computed for this score: read it as a picture, not as a finding."
    nulls = sorted(cell.null for cell in cells if cell.null is not None)
    level = number(nulls[0]) if nulls[0] == nulls[-1] else f"{number(nulls[0])} to {number(nulls[-1])}"
    return f"{sum(map(bool, judged))} of {count(len(judged), 'head')} lie beyond the null ({level})."


def _rows(cells: Sequence[HeadRecord], heads: range) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The same numbers as a table: a row a layer."""
    values = {(cell.layer, cell.head): cell.value for cell in cells}
    layers = sorted({cell.layer for cell in cells})
    return tuple((f"L{layer}", tuple(number(values.get((layer, head))) for head in heads)) for layer in layers)
