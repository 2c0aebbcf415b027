"""The domain chart: for each domain a line from its share of the corpus to its share of the influence."""

from collections.abc import Sequence

import altair as alt

from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.model import DomainRecord
from imprint.report.wording import percent

_ROW = 30


def figure(domains: Sequence[DomainRecord]) -> Figure:
    """One dumbbell a domain, most influential on top."""
    ordered = sorted(domains, key=lambda domain: -domain.influence_share)
    words = "; ".join(
        f"{domain.domain} {percent(domain.corpus_share)} and {percent(domain.influence_share)}" for domain in ordered
    )
    title = "Share of the corpus and share of the influence"
    return Figure(name="domains", title=title, alt=f"{title}: {words}.", spec=_spec(ordered))


def _spec(domains: Sequence[DomainRecord]) -> charts.Spec:
    """Line, hollow point (corpus), full point (influence)."""
    rows = [
        {"domain": domain.domain, "corpus": domain.corpus_share, "influence": domain.influence_share}
        for domain in domains
    ]
    share = alt.Axis(format=".0%", tickCount=5)
    base = alt.Chart().encode(
        y=alt.Y("domain:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelFontSize=12)),
        tooltip=["domain:N", alt.Tooltip("corpus:Q", format=".1%"), alt.Tooltip("influence:Q", format=".1%")],
    )
    x = alt.X("corpus:Q", title="share", axis=share)
    line = base.mark_rule(strokeWidth=2, color=charts.RULE).encode(x=x, x2="influence:Q")
    corpus = base.mark_point(filled=True, size=80, fill="var(--paper)", stroke=charts.MUTED, strokeWidth=2, opacity=1)
    influence = base.mark_point(filled=True, size=100, fill=charts.ACCENT, stroke=charts.ACCENT, opacity=1)
    height = _ROW * len({domain.domain for domain in domains})
    marks = [line, corpus.encode(x=x), influence.encode(x="influence:Q")]
    return charts.layered(*(Layer(chart=mark, rows=rows) for mark in marks), height=height)
