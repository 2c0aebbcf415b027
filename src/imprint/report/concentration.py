"""The concentration chart: cumulative share of the positive influence against the share of documents."""

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.model import ConcentrationRecord
from imprint.report.wording import percent

REFERENCES = (
    ("half-normal", 0.2585),
    ("exponential", 0.3303),
    ("lognormal with \u03c3 = 1.28", 0.5),
    ("Pareto with \u03b1 = 1.43", 0.5),
)
"""Share of the total in the top tenth under four laws: why a large share alone identifies none of them."""


def figure(record: ConcentrationRecord) -> Figure | None:
    """The Lorenz curve, or None when no curve was recorded."""
    if not record.curve:
        return None
    share = percent(record.share_positive.estimate)
    words = f"The top {percent(record.fraction)} of the documents carry {share} of the positive influence."
    return Figure(name="concentration", title="Cumulative influence", alt=words, spec=_spec(record))


def _spec(record: ConcentrationRecord) -> charts.Spec:
    """Equal shares, the curve, and the point that the text speaks of."""
    rows = [{"documents": documents, "influence": influence} for documents, influence in record.curve]
    mark = [{"documents": record.fraction, "influence": record.share_positive.estimate}]
    axis = alt.Axis(format=".0%", tickCount=5)
    base = alt.Chart().encode(
        x=alt.X("documents:Q", title="documents, most influential first", axis=axis),
        y=alt.Y("influence:Q", title="share of the influence", axis=axis),
    )
    tips = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("documents", "influence")]
    equal = base.mark_line(strokeDash=[4, 4], color=charts.MUTED, strokeWidth=1)
    curve = base.mark_line(strokeWidth=2.4, color=charts.ACCENT, clip=True).encode(tooltip=tips)
    point = base.mark_circle(size=110, color=charts.ACCENT, opacity=1).encode(tooltip=tips)
    return charts.layered(
        Layer(chart=equal, rows=[{"documents": share, "influence": share} for share in (0, 1)]),
        Layer(chart=curve, rows=rows),
        Layer(chart=point, rows=mark),
        height=240,
    )
