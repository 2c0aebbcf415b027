"""The section on what the high-influence documents are: records from the study, one sentence a control, and a chart a pool."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from imprint.report import charts
from imprint.report.character_records import CharacterRecord, FeatureRecord, MatchingRecord, PoolRecord
from imprint.report.charts import Figure, Layer
from imprint.report.model import DomainRecord
from imprint.report.wording import count, listing, p_value, signed, with_interval
from imprint.studies import Character

ACCEPTED = 0.05
"""A difference counts in words up to this q."""
NAMED = 0.1
"""A feature is named in words from this |δ| on; in a large corpus also what hardly differs has a small q."""
LABELS = {
    "compression": "compressed size",
    "repetition": "repeated 8-grams",
    "tags": "tags",
    "brackets": "brackets",
    "latex": "LaTeX commands",
    "base64": "base64",
    "uuid": "UUIDs",
    "log_lines": "log lines",
    "digits": "digits",
    "character_entropy": "character entropy",
    "token_entropy": "token entropy",
}
MEANINGS = (
    ("all other documents", "rules out nothing but chance"),
    ("same domain", "rules out that the domain (its format, topic and source) makes the difference"),
    ("same loss", "rules out that the top documents are merely harder or easier for the model"),
    ("same domain, loss and length", "rules out all three together, within deciles of loss and length"),
)
"""What each kind of control rules out."""
_ROW = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolView:
    """One pool as the page shows it."""

    pool: PoolRecord
    findings: tuple[str, ...]
    """One sentence a control: which features the top documents have more of and less of."""
    figure: Figure | None


def character_record(character: Character) -> CharacterRecord:
    """The study's answer as report data."""
    return CharacterRecord.model_validate(asdict(character))


def with_intervals(domains: Sequence[DomainRecord], record: CharacterRecord | None) -> tuple[DomainRecord, ...]:
    """The domains with the interval of their enrichment in influence, where the whole corpus was characterised."""
    found = record.pools[0].influence if record and record.pools else {}
    return tuple(
        domain.model_copy(update={"low": found[domain.domain].low, "high": found[domain.domain].high})
        if domain.domain in found
        else domain
        for domain in domains
    )


def views(record: CharacterRecord | None) -> tuple[PoolView, ...]:
    """Every pool with its findings in words and its chart."""
    return tuple(
        PoolView(pool=pool, findings=tuple(map(finding, pool.comparisons)), figure=_figure(pool, place))
        for place, pool in enumerate(record.pools if record else ())
    )


def label(feature: str) -> str:
    """The feature's name for people; one that nobody described is shown under its own name."""
    return LABELS.get(feature, feature)


def finding(comparison: MatchingRecord) -> str:
    """One comparison in one sentence, with what could not be matched."""
    without = (
        f", {count(comparison.unmatched, 'document')} without such a control left out" if comparison.unmatched else ""
    )
    start = f"Against {_controls(comparison.matching)} ({count(comparison.treated, 'top document')}{without}): "
    if not comparison.features:
        return f"{start}nothing could be compared."
    found = sorted((row for row in comparison.features if row.q <= ACCEPTED), key=lambda row: -abs(row.delta.estimate))
    named = [row for row in found if abs(row.delta.estimate) >= NAMED]
    parts = [
        f"{word} {listing([f'{label(row.feature)} (δ {signed(row.delta.estimate, 2)})' for row in rows])}"
        for word, rows in (
            ("more", [row for row in named if row.delta.estimate > 0]),
            ("less", [row for row in named if row.delta.estimate < 0]),
        )
        if rows
    ]
    if len(found) > len(named):
        parts.append(f"{count(len(found) - len(named), 'difference')} too small to name (|δ| < {NAMED:g})")
    return start + ("; ".join(parts) or f"no feature differs at q ≤ {ACCEPTED:g}") + "."


def _controls(matching: str) -> str:
    return f"documents of the {matching}" if matching.startswith("same ") else matching


def _figure(pool: PoolRecord, place: int) -> Figure | None:
    """Loosest control against strictest, or None when one of them could not be made."""
    comparable = [one for one in pool.comparisons if one.features]
    if len(comparable) < 2:
        return None
    first, last = comparable[0], comparable[-1]
    loose = {row.feature: row for row in first.features}
    rows = sorted(last.features, key=lambda row: -abs(row.delta.estimate))
    words = "; ".join(f"{label(row.feature)} {_words(loose[row.feature])}, then {_words(row)}" for row in rows)
    title = f"Cliff's δ of the top documents against {first.matching}, and against those of the {last.matching}"
    return Figure(
        name=f"character-{place}",
        title=title,
        alt=f"{title}: {words}.",
        spec=_spec([(loose[row.feature], row) for row in rows]),
    )


def _words(row: FeatureRecord) -> str:
    return with_interval(row.delta.estimate, row.delta.low, row.delta.high)


def _spec(pairs: Sequence[tuple[FeatureRecord, FeatureRecord]]) -> charts.Spec:
    """Zero line, the way from hollow (loosest control) to full (strictest, with its interval)."""
    rows: list[dict[str, Any]] = [
        {
            "feature": label(strict.feature), "all": loose.delta.estimate, "matched": strict.delta.estimate,
            "low": strict.delta.low, "high": strict.delta.high, "against all": _words(loose),
            "against matched": _words(strict), "q": p_value(strict.q),
        }
        for loose, strict in pairs
    ]  # fmt: skip
    tips = [alt.Tooltip(f"{name}:N") for name in ("feature", "against all", "against matched", "q")]
    y = alt.Y("feature:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelFontSize=12))
    base = alt.Chart().encode(y=y, tooltip=tips)
    x = alt.X("all:Q", title="less than the control ← δ → more than the control", axis=alt.Axis(tickCount=5))
    zero = alt.Chart().mark_rule(color=charts.MUTED, strokeDash=[3, 3]).encode(x="zero:Q")
    way = base.mark_rule(strokeWidth=1, color=charts.RULE).encode(x=x, x2="matched:Q")
    loosest = base.mark_point(filled=True, size=70, fill="var(--paper)", stroke=charts.MUTED, strokeWidth=2, opacity=1)
    whiskers = base.mark_rule(strokeWidth=2.5, strokeCap="round", color=charts.ACCENT).encode(x="low:Q", x2="high:Q")
    strictest = base.mark_point(filled=True, size=80, fill=charts.ACCENT, stroke=charts.ACCENT, opacity=1)
    marks = [way, loosest.encode(x=x), whiskers, strictest.encode(x="matched:Q")]
    layers = [Layer(chart=mark, rows=rows) for mark in marks]
    return charts.layered(Layer(chart=zero, rows=[{"zero": 0}]), *layers, height=_ROW * len(rows))
