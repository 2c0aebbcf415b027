"""`ReportData` to Markdown: the sections of the HTML report for a terminal, a pull request or an appendix."""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from imprint.report import character, concentration, ladder, trajectories, wording
from imprint.report.emergence_view import came, effect_label, emergence_view, first_there
from imprint.report.glossary import Glossary
from imprint.report.influence import cluster_pages, passed_words
from imprint.report.influence_matrix import matrix
from imprint.report.model import ReportData
from imprint.report.records import EffectRecord
from imprint.report.susceptibility_view import susceptibility_view
from imprint.report.window import window_view

LISTED_DOCUMENTS = 10
_LEADING = re.compile(r"^([-+]|\d+[.)])(?=\s)")
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#{}!])")


def render_markdown(data: ReportData) -> str:
    """The report as GitHub-flavoured Markdown; texts from the data cannot form markup, HTML, links or table cells."""
    glossary = Glossary(data)
    grid = matrix(data.influence) if data.influence else None
    return _environment().get_template("report.md.j2").render(
        data=data,
        glossary=glossary,
        metrics=trajectories.metrics(data, glossary),
        summaries=trajectories.summaries(data, glossary),
        grid=grid,
        character_views=character.views(data.character),
        window_view=window_view(data.attribution_window),
        pages=cluster_pages(data.influence, grid) if data.influence and grid else (),
        susceptibility=susceptibility_view(data.susceptibility) if data.susceptibility else None,
        emergence=emergence_view(data.emergence) if data.emergence else None,
        checks=passed_words(data.influence.validation) if data.influence else "",
        documents=sorted(data.documents, key=lambda document: document.rank)[:LISTED_DOCUMENTS],
        total_seconds=sum(stage.seconds for stage in data.provenance.seconds),
    )  # fmt: skip


def plain(text: str) -> str:
    """One line of Markdown that shows exactly this text: specials escaped, `<` and `&` as entities, no line break."""
    one_line = " ".join(wording.visible(text).split())
    escaped = _LEADING.sub(r"\\\1", _SPECIAL.sub(r"\\\1", one_line))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("://", ":&#47;&#47;")


@cache
def _environment() -> Environment:
    """Templates in which every value is made plain, so that none can be forgotten."""
    environment = Environment(
        loader=PackageLoader("imprint.report"), autoescape=False, undefined=StrictUndefined, finalize=_finalize,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "number": wording.number, "exact": wording.exact, "signed": wording.signed, "percent": wording.percent,
        "p_value": wording.p_value, "duration": wording.duration, "feature_label": character.label,
    }  # fmt: skip
    environment.globals |= {
        "count": wording.count, "interval": wording.interval, "rungs": ladder.rungs, "gain": _gain, "standing": ladder.standing,
        "control_meanings": character.MEANINGS, "references": concentration.REFERENCES,
        "effect_label": effect_label, "came": came, "first_there": first_there,
    }  # fmt: skip
    return environment


def _gain(effect: EffectRecord | None) -> str:
    """An effect with sign and interval, or a dash when it was not measured."""
    return wording.MISSING if effect is None else wording.with_interval(effect.estimate, effect.low, effect.high)


def _finalize(value: Any) -> Any:
    """Every text made plain on its way into the file."""
    return plain(value) if isinstance(value, str) else value
