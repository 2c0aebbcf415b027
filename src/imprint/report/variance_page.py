"""Variance findings as one HTML file of their own, which asks the network for nothing."""

from collections.abc import Sequence

from imprint.report.html import asset, page
from imprint.report.variance import variance_views
from imprint.studies.variance import VarianceFinding


def render_variance(findings: Sequence[VarianceFinding], *, source: str) -> str:
    """The findings from one table as a page: answer, both charts and the numbers of every metric; `source` names the table.

    All text is escaped, and the same findings give the same bytes.
    """
    views = variance_views(findings)
    view = {
        "data": {"title": f"Variance: {source}"},
        "contents": {"variance": "Variance"},
        "variance_views": views,
        "figures": [figure for one in views for figure in one.figures],
    }
    return page(view, style=asset("report.css"), behaviour=asset("report.js"))
