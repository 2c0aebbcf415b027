"""Training trajectories: one chart a metric, thin lines for seeds, thick for their mean, markers for onsets."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.arms import Arm, arms
from imprint.report.charts import Figure, Layer
from imprint.report.glossary import Glossary, Reading
from imprint.report.model import OnsetRecord, ReportData, TrajectoryPoint
from imprint.report.wording import number

_TALL, _SHORT = 300, 190


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One arm at the end: seeds, when it emerged, and the mean of every metric at its last step."""

    arm: Arm
    seeds: int
    onset: str
    final: tuple[str, ...]


def figures(data: ReportData, glossary: Glossary) -> list[Figure]:
    """One chart a metric in the glossary's order; the first is the tall one."""
    points = _by_metric(data.trajectories)
    order = glossary.order(set(points))
    return [
        Figure(
            name=f"trajectory-{place}",
            title=glossary.label(metric),
            alt=_alt(glossary.label(metric), points[metric]),
            spec=_spec(data, metric, points[metric], glossary[metric], height=_SHORT if place else _TALL),
            note=glossary[metric].note,
            wide=place == 0,
        )
        for place, metric in enumerate(order)
    ]


def metrics(data: ReportData, glossary: Glossary) -> list[str]:
    """The metrics that have a trajectory, in reading order."""
    return glossary.order({point.metric for point in data.trajectories})


def summaries(data: ReportData, glossary: Glossary) -> list[Summary]:
    """A row an arm: the table that says in numbers what the charts show."""
    by_arm: dict[str, list[TrajectoryPoint]] = defaultdict(list)
    for point in data.trajectories:
        by_arm[point.arm].append(point)
    names = metrics(data, glossary)
    return [
        Summary(
            arm=arm,
            seeds=len({point.seed for point in by_arm[name]}),
            onset=onset_words([onset for onset in data.onsets if onset.arm == name]),
            final=tuple(_final(by_arm[name], metric) for metric in names),
        )
        for name, arm in arms(data).items()
        if name in by_arm
    ]


def onset_words(onsets: Sequence[OnsetRecord]) -> str:
    """The onset over seeds ("median 1 850 (1 800 to 1 900), never in 1 of 5"), the first metric's when several."""
    runs = list({onset.seed: onset for onset in reversed(onsets)}.values())
    steps = sorted(onset.step for onset in runs if onset.step is not None)
    if not runs:
        return number(None)
    if not steps:
        return f"never in {len(runs)} of {len(runs)}"
    spread = f" ({number(steps[0], 4)} to {number(steps[-1], 4)})" if len(steps) > 1 else ""
    never = f", never in {len(runs) - len(steps)} of {len(runs)}" if len(steps) < len(runs) else ""
    return f"{'median ' if len(steps) > 1 else ''}{number(median(steps), 4)}{spread}{never}"


def _by_metric(points: Iterable[TrajectoryPoint]) -> dict[str, list[TrajectoryPoint]]:
    """The points of each metric."""
    groups: dict[str, list[TrajectoryPoint]] = defaultdict(list)
    for point in points:
        groups[point.metric].append(point)
    return groups


def _means(points: Iterable[TrajectoryPoint]) -> list[dict[str, Any]]:
    """Mean, lowest and highest over seeds at each step of each arm."""
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    for point in points:
        cells[point.arm, point.step].append(point.value)
    return [
        {"arm": arm, "step": step, "value": fmean(values), "low": min(values), "high": max(values), "n": len(values)}
        for (arm, step), values in sorted(cells.items())
    ]


def _final(points: Sequence[TrajectoryPoint], metric: str) -> str:
    """The mean over seeds at the arm's last step of a metric."""
    rows = [row for row in _means(point for point in points if point.metric == metric)]
    return number(rows[-1]["value"] if rows else None)


def _alt(label: str, points: Sequence[TrajectoryPoint]) -> str:
    """The chart in one sentence: where each arm ends."""
    last = {row["arm"]: row for row in _means(points)}
    ends = "; ".join(f"{arm}: {number(row['value'])} at step {number(row['step'])}" for arm, row in last.items())
    return f"{label} over training steps, mean over seeds at the end. {ends}."


def _spec(
    data: ReportData, metric: str, points: list[TrajectoryPoint], reading: Reading, *, height: int
) -> charts.Spec:
    """The layers: window, seeds, mean, hover points, onset markers."""
    looks = arms(data)
    base = alt.Chart().encode(
        x=alt.X("step:Q", title="training step", axis=alt.Axis(format=_step_format(points), tickCount=6, grid=False)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=reading.from_zero)),
    )
    seeds = [_drawn(point.model_dump(include={"arm", "seed", "step", "value"}), looks) for point in points]
    means = [_drawn(row, looks) for row in _means(points)]
    onsets = [onset for onset in data.onsets if onset.metric in ("", metric) and onset.arm in looks]
    return charts.layered(
        *_window(data),
        Layer(chart=_thin(base), rows=seeds),
        Layer(chart=_thick(base, looks), rows=means),
        Layer(chart=_hover(base), rows=means),
        *_onsets(onsets, looks),
        height=height,
        params={"shown": [arm.name for arm in looks.values()]},
    )


def _step_format(points: Iterable[TrajectoryPoint]) -> str:
    """Steps in full up to ten thousand, then as 20k."""
    return "d" if max(point.step for point in points) <= 10_000 else "~s"


def _shown(opacity: float) -> Any:
    """Visible unless the reader switched the arm off in the legend."""
    return alt.condition("indexof(shown, datum.arm) >= 0", alt.value(opacity), alt.value(0))


def _drawn(row: Mapping[str, Any], looks: Mapping[str, Arm]) -> dict[str, Any]:
    """The row with its arm's colour."""
    return {**row, "color": looks[row["arm"]].color}


def _window(data: ReportData) -> list[Layer]:
    """The shaded spans, or nothing."""
    rows = [{"start": window.start, "end": window.end, "label": window.label} for window in data.windows]
    shade = alt.Chart().mark_rect(color="var(--window)", clip=True)
    shade = shade.encode(x="start:Q", x2="end:Q", tooltip=["label:N", "start:Q", "end:Q"])
    return [Layer(chart=shade, rows=rows)] if rows else []


def _thin(base: alt.Chart) -> alt.Chart:
    """A thin line a run."""
    lines: alt.Chart = base.mark_line(strokeWidth=1)
    return lines.encode(color=charts.color("color"), detail=["arm:N", "seed:N"], opacity=_shown(0.32))


def _thick(base: alt.Chart, looks: Mapping[str, Arm]) -> alt.Chart:
    """A thick line an arm, in its dash."""
    dashes = alt.Scale(domain=[arm.name for arm in looks.values()], range=[list(arm.dash) for arm in looks.values()])
    lines: alt.Chart = base.mark_line(strokeWidth=2.4, strokeCap="round")
    return lines.encode(
        color=charts.color("color"),
        detail="arm:N",
        strokeDash=alt.StrokeDash("arm:N", scale=dashes, legend=None),
        opacity=_shown(1.0),
    )


def _hover(base: alt.Chart) -> alt.Chart:
    """Unseen points on the mean that carry the tooltip."""
    tips = [("arm:N", "arm"), ("step:Q", "step"), ("value:Q", "mean"), ("low:Q", "lowest seed"), ("high:Q", "highest")]
    points: alt.Chart = base.mark_circle(size=90, opacity=0)
    return points.encode(tooltip=[alt.Tooltip(field, title=title) for field, title in [*tips, ("n:Q", "seeds")]])


def _onsets(onsets: Iterable[OnsetRecord], looks: Mapping[str, Arm]) -> list[Layer]:
    """Triangles on the floor of the chart where a run emerged."""
    rows = [
        _drawn({"arm": onset.arm, "seed": onset.seed, "step": onset.step}, looks)
        for onset in onsets
        if onset.step is not None
    ]
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("seed:N"), alt.Tooltip("step:Q", title="onset at step")]
    marks = alt.Chart().mark_point(shape="triangle-up", filled=True, size=80, yOffset=-5)
    marks = marks.encode(
        x="step:Q", y=alt.value("height"), color=charts.color("color"), tooltip=tips, opacity=_shown(0.9)
    )
    return [Layer(chart=marks, rows=rows)] if rows else []
