"""`ReportData` to one HTML file that holds text, styles, charts and scripts, and asks the network for nothing."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from imprint.report import character, concentration, domains, forest, heatmaps, highlight, ladder, trajectories, wording
from imprint.report.arms import arms
from imprint.report.charts import Figure
from imprint.report.emergence_view import EmergenceView, came, effect_label, emergence_view, first_there
from imprint.report.glossary import Glossary
from imprint.report.influence import InfluenceView, influence_view
from imprint.report.interval_plot import interval_plot
from imprint.report.model import ReportData
from imprint.report.susceptibility_view import SusceptibilityView, susceptibility_view
from imprint.report.window import window_view

OPEN_DOCUMENTS = 3
LISTED_DOCUMENTS = 12
MECHANISM = {
    "answer": "Answer", "claims": "Claims", "hypotheses": "Hypotheses", "training": "Training", "heads": "Heads",
    "documents": "Documents", "domains": "Domains", "character": "Character", "window": "Window", "methods": "Methods",
    "effects": "Retraining", "doses": "Doses", "sizes": "Sizes", "synthetic": "Synthetic text", "icl": "In-context learning",
    "concentration": "Concentration", "limits": "Limits", "provenance": "Provenance",
}  # fmt: skip
"""The sections of a mechanism study by their names in the contents; each has a template of its own."""
PERTURBATION = {
    "answer": "Answer", "influence": "Influence \u03a6", "abilities": "Abilities", "clusters": "Clusters",
    "validation": "Validation", "variations": "Variations", "claims": "Claims", "hypotheses": "Hypotheses",
    "methods": "Methods", "limits": "Limits", "provenance": "Provenance",
}  # fmt: skip
"""The sections of a perturbation study."""
SUSCEPTIBILITY = {
    "answer": "Answer", "design": "Registered", "contamination": "Contamination", "hypotheses": "Verdicts",
    "variance": "Variance", "surface": "Surface", "representation": "Representation", "removal": "Removal",
    "claims": "Claims", "limits": "Limits", "provenance": "Provenance",
}  # fmt: skip
"""The sections of a susceptibility study."""
EMERGENCE = {
    "answer": "Answer", "registered": "Registered", "graph": "Causal graph", "edges": "Edges",
    "interventions": "Interventions", "beside": "Cross-checks", "curves": "Trajectories", "forecast": "Held-out scale",
    "allocation": "Allocation", "hypotheses": "Verdicts", "claims": "Claims", "limits": "Limits", "provenance": "Provenance",
}  # fmt: skip
"""The sections of an emergence study."""


def render_html(data: ReportData) -> str:
    """The report as one self-contained HTML document; the same data give the same bytes.

    Every text from the data is escaped, also inside the embedded JSON, and invisible characters are shown by name.
    A content security policy allows the report's own two scripts by digest and forbids every request.
    """
    return page(_view(data), style=_assets("css", data), behaviour=_assets("js", data))


def page(view: Mapping[str, Any], *, style: str, behaviour: str) -> str:
    """The document whose sections are `view["contents"]`, each a template of that name, with the charts `view["figures"]`."""
    scripts = {"bundle": chart_library(), "behaviour": behaviour}
    return _environment().get_template("report.html.j2").render(
        **view,
        style=Markup(style),
        policy=content_policy(scripts.values()),
        specs=embedded_json({figure.name: figure.spec for figure in view["figures"]}),
        library_versions=f"Vega {vl_convert.get_vega_version()}, Vega-Lite {vl_convert.get_vegalite_versions()[-1]}",
        **{name: Markup(text) for name, text in scripts.items()},
    )  # fmt: skip


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, as vendored by vl-convert (no download)."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    assert "</script" not in script.lower(), "the chart library would close its own script element"
    return script


def content_policy(scripts: Iterable[str]) -> str:
    """A content security policy: these scripts by digest, inline styles, and no request of any kind."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded_json(value: Any) -> Markup:
    """JSON that no HTML parser can leave: ASCII only, with `<`, `>` and `&` as escapes."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def _environment() -> Environment:
    """Templates that escape everything, and to which a forgotten name is an error."""
    environment = Environment(
        loader=PackageLoader("imprint.report"), autoescape=True, undefined=StrictUndefined, finalize=_finalize,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "number": wording.number, "exact": wording.exact, "signed": wording.signed, "fixed": wording.fixed,
        "percent": wording.percent,
        "p_value": wording.p_value, "p_words": wording.p_words, "duration": wording.duration,
        "listing": wording.listing, "suffix": highlight.suffix, "feature_label": character.label,
    }  # fmt: skip
    environment.globals |= {
        "count": wording.count, "interval": wording.interval, "interval_plot": interval_plot,
        "runs": highlight.runs, "rungs": ladder.rungs, "standing": ladder.standing,
        "references": concentration.REFERENCES, "control_meanings": character.MEANINGS,
        "effect_label": effect_label, "came": came, "first_there": first_there,
    }  # fmt: skip
    return environment


def _finalize(value: Any) -> Any:
    """Text from the data with its invisible characters shown; markup of our own as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else wording.visible(value)


def _assets(kind: str, data: ReportData) -> str:
    """The style or the script of every report, and what a perturbation or an emergence study needs beyond it."""
    own = asset(f"influence.{kind}") if data.influence else ""
    return asset(f"report.{kind}") + own + (asset("emergence.css") if data.emergence and kind == "css" else "")


def asset(name: str) -> str:
    """The text of a file in the template folder."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def _view(data: ReportData) -> dict[str, Any]:
    """All that the templates read."""
    glossary = Glossary(data)
    susceptibility = susceptibility_view(data.susceptibility) if data.susceptibility else None
    sections = {
        "trajectory_figures": trajectories.figures(data, glossary),
        "heat_maps": heatmaps.heat_maps(data, glossary),
        "domain_figures": [domains.figure(data.domains)] if data.domains else [],
        "effect_figures": forest.figures(data, glossary),
        "concentration_figure": concentration.figure(data.concentration) if data.concentration else None,
        "character_views": character.views(data.character),
        "window_view": window_view(data.attribution_window),
        "influence": influence_view(data.influence) if data.influence else None,
        "susceptibility": susceptibility,
        "emergence": emergence_view(data.emergence) if data.emergence else None,
    }
    return {
        "data": data, "contents": _contents(data), "glossary": glossary,
        "arms": arms(data), "figures": _all_figures(sections), **sections,
        "variance_views": susceptibility.variance if susceptibility else (),
        "summary_metrics": trajectories.metrics(data, glossary), "summaries": trajectories.summaries(data, glossary),
        "spans": _spans(data), "first_open": OPEN_DOCUMENTS, "listed": LISTED_DOCUMENTS, **_documents(data),
        "total_seconds": sum(stage.seconds for stage in data.provenance.seconds),
    }  # fmt: skip


def _contents(data: ReportData) -> dict[str, str]:
    """The sections in order; what was not made and is announced by nothing else has no section."""
    if data.susceptibility:
        return SUSCEPTIBILITY
    if data.emergence:
        return EMERGENCE
    if not data.influence:
        optional: dict[str, object] = {
            "character": data.character,
            "window": data.attribution_window,
            "doses": data.doses,
        }
        optional |= {"sizes": data.sizes, "synthetic": data.gains, "icl": data.icl}
        return {name: label for name, label in MECHANISM.items() if name not in optional or optional[name]}
    return {name: label for name, label in PERTURBATION.items() if name != "methods" or data.methods}


def _spans(data: ReportData) -> dict[str, list[float]]:
    """What the small plots of one metric must all cover, so that rows of the method table compare by eye."""
    return {
        metric: [end for row in data.methods if row.metric == metric for end in (row.low, row.high) if end is not None]
        for metric in {row.metric for row in data.methods}
    }


def _documents(data: ReportData) -> dict[str, Any]:
    """Documents by the sign of their score, in rank order, and the largest score for the bars."""
    ordered = sorted(data.documents, key=lambda document: document.rank)
    return {
        "strengthening": [document for document in ordered if document.score >= 0],
        "weakening": [document for document in ordered if document.score < 0],
        "largest_score": max((abs(document.score) for document in ordered), default=0.0) or 1.0,
    }


def _all_figures(sections: dict[str, Any]) -> list[Figure]:
    """Every chart of the report, once."""
    last = sections["concentration_figure"]
    return [
        *sections["trajectory_figures"],
        *(heat_map.figure for heat_map in sections["heat_maps"]),
        *sections["domain_figures"],
        *(view.figure for view in sections["character_views"] if view.figure),
        *(sections["window_view"].figures if sections["window_view"] else ()),
        *sections["effect_figures"],
        *([last] if last else []),
        *_study_figures(sections["influence"], sections["susceptibility"], sections["emergence"]),
    ]


def _study_figures(
    influence: InfluenceView | None, susceptibility: SusceptibilityView | None, emergence: EmergenceView | None
) -> list[Figure]:
    """The charts that only a study of one kind has."""
    own = [*influence.variations, *influence.lazy] if influence else []
    return own + [figure for view in (susceptibility, emergence) if view for figure in view.figures]
