"""What all charts share: one theme whose colours are CSS variables, so dark mode and print need no second drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from imprint.report.wording import visible

Spec = dict[str, Any]
Row = Mapping[str, Any]

FONT = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif"
INK, MUTED, RULE, ACCENT = "var(--ink)", "var(--ink-2)", "var(--rule)", "var(--accent)"
_AXIS = {
    "labelColor": MUTED,
    "titleColor": MUTED,
    "gridColor": RULE,
    "domainColor": RULE,
    "tickColor": RULE,
    "labelFontSize": 11,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "labelLimit": 150,
    "titlePadding": 8,
    "labelPadding": 5,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One chart: `spec` is Vega-Lite without any address in it, `alt` the sentence that stands for the picture."""

    name: str
    title: str
    alt: str
    spec: Spec
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer of a chart: marks and encodings, and the rows that they draw."""

    chart: alt.Chart
    rows: Sequence[Row]


def layered(*layers: Layer, height: int, params: Mapping[str, Any] | None = None) -> Spec:
    """The layers in one frame as wide as its container, in the report's theme; `params` are named signals.

    Rows stand beside the specification as named datasets, because Altair would check every one against its schema.
    """
    names = [f"layer-{place}" for place in range(len(layers))]
    drawn = [layer.chart.properties(data=alt.NamedData(name)) for layer, name in zip(layers, names, strict=True)]
    chart = alt.layer(*drawn).properties(width="container", height=height)
    themed = chart.configure(background="transparent", font=FONT, autosize={"type": "fit-x", "contains": "padding"})
    spec: Spec = themed.configure_axis(**_AXIS).configure_view(stroke=None).to_dict()
    spec.pop("$schema", None)
    spec["datasets"] = {name: table(layer.rows) for layer, name in zip(layers, names, strict=True)}
    spec["params"] = [{"name": name, "value": value} for name, value in (params or {}).items()]
    return spec


def table(rows: Sequence[Row]) -> list[Row]:
    """The rows with invisible characters in their texts made visible."""
    return [{key: _shown(value) for key, value in row.items()} for row in rows]


def _shown(value: Any) -> Any:
    """Text made visible; anything else as it is."""
    return visible(value) if isinstance(value, str) else value


def color(field: str) -> alt.Color:
    """A field that already holds a CSS colour."""
    return alt.Color(f"{field}:N", scale=None)
