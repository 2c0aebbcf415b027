"""The held-out scale: what was predicted as a point with its interval, what came as its filling, and how good that was."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.emergence_records import ForecastRecord
from imprint.report.wording import interval, number, p_value, percent
from imprint.studies.emergence import Forecast

_ROW = 24


def figure(record: ForecastRecord) -> Figure:
    """All forecasts, the most probable first."""
    ordered = in_order(record)
    words = "; ".join(f"{name(one)}: {percent(one.p)}, {came(one)}" for one in ordered)
    return Figure(
        name="forecasts",
        title=f"P(there at {record.scale}), and what came",
        alt=f"Predicted probability that an ability is there at {record.scale}, the highest first. {words}.",
        spec=_spec(record, ordered),
        note="full: it was there in half of the seeds or more; hollow: it was not. Dashed: how often an ability that was not"
        " there was there at a later trained scale.",
        wide=True,
    )


def in_order(record: ForecastRecord) -> list[Forecast]:
    """The most probable first."""
    return sorted(record.forecasts, key=lambda one: (-one.p, one.ability, one.arm))


def name(one: Forecast) -> str:
    """What was asked about."""
    return f"{one.ability}, {one.arm}"


def came(one: Forecast) -> str:
    """What came, in words."""
    return f"there in {round(one.emerged * one.seeds)} of {one.seeds}"


def quality(record: ForecastRecord) -> list[tuple[str, str, str]]:
    """Measures of the forecasts beside the simplest rivals: name, value, p."""
    area, skill = record.auc, record.skill
    ranked = record.auc_undefined if area is None else f"{number(area.estimate)} {interval(area.low, area.high)}"
    return [
        ("AUC of the forecasts", ranked, "" if area is None else p_value(record.auc_p)),
        ("AUC of the score at the largest trained scale", number(record.persistence_auc), ""),
        ("Brier score of the forecasts, lower is better", number(record.brier), ""),
        (f"Brier score of the base rate ({percent(record.base_rate)})", number(record.brier_base_rate), ""),
        (
            "Brier skill over the base rate",
            f"{number(skill.estimate)} {interval(skill.low, skill.high)}",
            p_value(record.skill_p),
        ),
    ]


def _spec(record: ForecastRecord, ordered: Sequence[Forecast]) -> charts.Spec:
    rows = [_row(one) for one in ordered]
    axis = alt.Axis(domain=False, ticks=False, labelFontSize=12, labelLimit=260)
    y = alt.Y("name:N", title=None, sort=None, axis=axis)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("low:Q", title="predicted probability", scale=scale, axis=alt.Axis(format="%", tickCount=5))
    tips = [alt.Tooltip("name:N", title="asked"), alt.Tooltip("words:N", title="predicted"), alt.Tooltip("came:N")]
    base = alt.Chart().encode(y=y, tooltip=tips)
    rate = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(x=alt.X("rate:Q", scale=scale))
    whiskers = base.mark_rule(strokeWidth=2, strokeCap="round", color="var(--ink-3)").encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=95, strokeWidth=2, opacity=1, stroke=charts.ACCENT).encode(
        x=alt.X("p:Q", scale=scale), fill=alt.Fill("fill:N", scale=None)
    )
    return charts.layered(
        Layer(chart=rate, rows=[{"rate": record.base_rate}]),
        Layer(chart=whiskers, rows=rows),
        Layer(chart=dots, rows=rows),
        height=_ROW * len(rows),
    )


def _row(one: Forecast) -> dict[str, Any]:
    return {
        "name": name(one), "p": one.p, "low": one.p_low, "high": one.p_high, "came": came(one),
        "words": f"{percent(one.p)} ({percent(one.p_low)} to {percent(one.p_high)})",
        "fill": charts.ACCENT if one.there else "var(--paper)",
    }  # fmt: skip
