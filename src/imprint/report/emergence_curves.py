"""The accuracy in every ability along training: small charts, one a scale, a line an arm, the same axes in all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.anchors import anchors
from imprint.report.arms import Arm, looks
from imprint.report.charts import Figure, Layer
from imprint.report.emergence_records import CurveRecord, ScaleRecord
from imprint.report.emergence_trajectories import shapes
from imprint.report.wording import number, percent
from imprint.studies.emergence import Abruptness

_HEIGHT = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How an ability came at one scale in the untouched runs."""

    scale: str
    word: str
    score_delta: float
    log_prob_delta: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AbilityCurves:
    """One ability: a chart a scale, and how it came at each."""

    ability: str
    chance: float
    there: float
    figures: tuple[Figure, ...]
    shapes: tuple[Shape, ...]


def ability_curves(
    curves: Sequence[CurveRecord], scales: Sequence[ScaleRecord], abruptness: Sequence[Abruptness]
) -> tuple[AbilityCurves, ...]:
    """Every ability in the order of its curves."""
    arms = looks(curve.arm for curve in curves)
    return tuple(
        _ability([one for one in curves if one.ability == name], scales, abruptness, arms)
        for name in dict.fromkeys(curve.ability for curve in curves)
    )


def _ability(
    curves: Sequence[CurveRecord],
    scales: Sequence[ScaleRecord],
    abruptness: Sequence[Abruptness],
    arms: Mapping[str, Arm],
) -> AbilityCurves:
    ability, words = curves[0].ability, shapes(curves, abruptness)
    shown = [scale for scale in scales if any(curve.scale == scale.name for curve in curves)]
    names = anchors("curves", [(ability, scale.name) for scale in shown])
    parts = [[curve for curve in curves if curve.scale == scale.name] for scale in shown]
    return AbilityCurves(
        ability=ability,
        chance=curves[0].chance,
        there=curves[0].there,
        figures=tuple(_figure(part, scale, name, arms) for part, scale, name in zip(parts, shown, names, strict=True)),
        shapes=tuple(
            Shape(
                scale=one.scale,
                word=words[ability, one.scale],
                score_delta=one.score_delta,
                log_prob_delta=one.log_prob_delta,
            )
            for scale in shown
            for one in abruptness
            if (one.ability, one.scale) == (ability, scale.name) and (ability, scale.name) in words
        ),
    )


def _figure(curves: Sequence[CurveRecord], scale: ScaleRecord, name: str, arms: Mapping[str, Arm]) -> Figure:
    ends = "; ".join(f"{one.arm}: {percent(one.mean[-1])}, there in {one.last} of {len(one.onsets)}" for one in curves)
    held_out = ", held out" if scale.held_out else ""
    where = f"{curves[0].ability} along training at scale {scale.name}{held_out}"
    return Figure(
        name=name,
        title=scale.name,
        alt=f"Accuracy in {where}, at the last checkpoint by arm: {ends}.",
        spec=_spec(curves, arms),
        note=f"{number(scale.parameters)} parameters{held_out}",
    )


def crossing(curve: CurveRecord) -> int | None:
    """The place of the first checkpoint at which the mean over seeds is at the line; the untrained model never counts."""
    return next(
        (place for place, value in enumerate(curve.mean) if value >= curve.there and curve.steps[place] > 0), None
    )


def _spec(curves: Sequence[CurveRecord], arms: Mapping[str, Arm]) -> charts.Spec:
    """The common drawing with these curves."""
    lines = [row for curve in curves for row in _rows(curve, arms)]
    first = [(curve, crossing(curve)) for curve in curves]
    crossed = [_rows(curve, arms)[place] for curve, place in first if place is not None]
    levels = [{"level": curves[0].chance, "what": "chance"}], [{"level": curves[0].there, "what": "there"}]
    rows = dict(enumerate((*levels, lines, lines, crossed)))
    drawn = {place: charts.table(layer) for place, layer in rows.items() if layer}
    shared = _template(
        tuple((arm.name, arm.dash) for arm in arms.values()), "d" if curves[0].steps[-1] <= 10_000 else "~s"
    )
    return {
        **shared,
        "layer": [shared["layer"][place] for place in drawn],
        "datasets": {f"layer-{place}": layer for place, layer in drawn.items()},
    }


def _rows(curve: CurveRecord, arms: Mapping[str, Arm]) -> list[dict[str, Any]]:
    look = arms[curve.arm]
    return [
        {
            "arm": look.name, "color": look.color, "step": step, "value": mean,
            "words": f"{percent(mean)} ({percent(low)} to {percent(high)} over seeds)",
        }
        for step, mean, low, high in zip(curve.steps, curve.mean, curve.low, curve.high, strict=True)
    ]  # fmt: skip


@cache
def _template(arms: tuple[tuple[str, tuple[int, ...]], ...], steps: str) -> charts.Spec:
    """The drawing that all scales and abilities share, without numbers."""
    names, dashes = [name for name, _ in arms], [list(dash) for _, dash in arms]
    x = alt.X("step:Q", title=None, axis=alt.Axis(format=steps, tickCount=3, grid=False))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=3))
    shown = alt.condition("indexof(shown, datum.arm) >= 0", alt.value(1.0), alt.value(0))
    base = alt.Chart().encode(x=x, y=y)
    level = alt.Chart().encode(
        y=alt.Y("level:Q"), tooltip=[alt.Tooltip("what:N"), alt.Tooltip("level:Q", format=".0%")]
    )
    dash = alt.StrokeDash("arm:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    lines = base.mark_line(strokeWidth=2, strokeCap="round").encode(
        color=charts.color("color"), detail="arm:N", strokeDash=dash, opacity=shown
    )
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("step:Q"), alt.Tooltip("words:N", title="accuracy")]
    points = base.mark_point(filled=True, size=46, strokeWidth=1.4, stroke="var(--paper)").encode(
        fill=alt.Fill("color:N", scale=None), opacity=shown, tooltip=tips
    )
    return charts.layered(
        Layer(chart=level.mark_rule(color=charts.MUTED, strokeDash=[2, 3]), rows=()),
        Layer(chart=level.mark_rule(color=charts.ACCENT, strokeWidth=1), rows=()),
        Layer(chart=lines, rows=()),
        Layer(chart=base.mark_circle(size=70, opacity=0).encode(tooltip=tips), rows=()),
        Layer(chart=points, rows=()),
        height=_HEIGHT,
        params={"shown": names},
    )
