"""How far the conditions' tokens lie apart, two by two: a heat map of Jensen-Shannon divergences beside their null."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.color_scale import ColorScale
from imprint.report.susceptibility_records import DivergenceRecord
from imprint.report.wording import number, p_value, visible

_TEXT_FITS = 12


def figure(rows: Sequence[DivergenceRecord], n: int) -> Figure | None:
    """The map for n-grams of `n` tokens; None where none was measured."""
    chosen = [row for row in rows if row.n == n]
    if not chosen:
        return None
    words = "; ".join(f"{row.first} and {row.second} {number(row.js)}" for row in chosen)
    return Figure(
        name=f"divergence-{n}",
        title=f"Divergence of {'single tokens' if n == 1 else f'runs of {n} tokens'}",
        alt=f"Jensen-Shannon divergence between conditions, bits. {words}.",
        spec=_spec(chosen),
        note="Jensen-Shannon, bits: 0 is the same text, 1 nothing in common; faded: no farther apart than random halves",
    )


def _spec(rows: Sequence[DivergenceRecord]) -> charts.Spec:
    """Both halves of a symmetric matrix, the numbers in the cells where they fit."""
    scale = ColorScale.of([row.js for row in rows])
    cells = [_cell(row, *pair, scale) for row in rows for pair in ((row.first, row.second), (row.second, row.first))]
    names = [visible(name) for name in dict.fromkeys(name for row in rows for name in (row.first, row.second))]
    axis = alt.Axis(labelAngle=0, domain=False, ticks=False, labelLimit=110)
    base = alt.Chart().encode(
        x=alt.X("second:N", title=None, sort=names, axis=axis), y=alt.Y("first:N", title=None, sort=names, axis=axis)
    )
    tips = [alt.Tooltip(f"{field}:N") for field in ("first", "second", "words", "null", "p")]
    squares = base.mark_rect(cornerRadius=2).encode(
        color=charts.color("fill"), fillOpacity=alt.FillOpacity("opacity:Q", scale=None), tooltip=tips
    )
    numbers = base.mark_text(fontSize=11).encode(text="words:N", color=charts.color("ink"))
    fits = len(names) <= _TEXT_FITS
    layers = [squares, numbers] if fits else [squares]
    return charts.layered(
        *(Layer(chart=layer, rows=cells) for layer in layers), height=len(names) * (36 if fits else 16)
    )


def _cell(row: DivergenceRecord, first: str, second: str, scale: ColorScale) -> dict[str, Any]:
    level, apart = scale.level(row.js), row.js > row.null_high
    return {
        "first": first, "second": second, "words": number(row.js, 2), "null": f"95 % below {number(row.null_high, 2)}",
        "p": p_value(row.p), "fill": f"var(--{scale.name}-{level})", "opacity": 1 if apart else 0.45,
        "ink": f"var(--{scale.name}-ink-{level})" if apart else charts.INK,
    }  # fmt: skip
