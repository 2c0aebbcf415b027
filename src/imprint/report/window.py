"""The section on attribution over a window: agreement in words and tables, heads as heat maps, influence over time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import altair as alt

from imprint.attribution import Agreement, TransferMatrix
from imprint.report import charts
from imprint.report.charts import Figure, Layer
from imprint.report.color_scale import ColorScale
from imprint.report.window_records import (
    AgreementRecord,
    ContrastRecord,
    IntervalRecord,
    PairRecord,
    TimeRecord,
    TransferRecord,
    WindowFindingsRecord,
)
from imprint.report.wording import count, interval, listing, number, p_words, percent, with_interval
from imprint.studies.mechanism.window import WindowFindings

_TEXT_FITS = 12
_SUMMED = "the window's mean rank"


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowView:
    """The record as the page shows it: sentences, one heat map a probe, and a chart of time."""

    findings: tuple[str, ...]
    heat_maps: tuple[Figure, ...]
    keys: tuple[tuple[str, ...], ...]
    """The colours of each heat map from 0 to 1."""
    time: Figure

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every chart."""
        return (*self.heat_maps, self.time)


def window_record(findings: WindowFindings) -> WindowFindingsRecord:
    """The study's findings as report data."""
    agreement = findings.agreement
    groups = {f"probes at step {step}": pairs for step, pairs in agreement.probes.items()}
    groups |= {f"checkpoints by {name}": pairs for name, pairs in agreement.checkpoints.items()}
    groups[_SUMMED] = agreement.summed
    time = asdict(findings.time) | {"even": findings.time.even, "magic_batch": findings.time.magic_batch}
    del time["presentations"]
    return WindowFindingsRecord(
        head=findings.head,
        steps=findings.steps,
        main=findings.main,
        rows=findings.rows,
        fraction=findings.fraction,
        induction_heads=tuple(head for head, role in findings.roles.items() if role == "induction"),
        agreements=tuple(_agreement(subject, pair) for subject, pairs in groups.items() for pair in pairs),
        transfer=tuple(_transfer(query, matrix) for query, matrix in findings.transfer.items()),
        time=TimeRecord.model_validate(time),
    )


def window_view(record: WindowFindingsRecord | None) -> WindowView | None:
    """The section, or None when no window was attributed."""
    if record is None:
        return None
    return WindowView(
        findings=findings(record),
        heat_maps=tuple(_heat_map(place, matrix, record) for place, matrix in enumerate(record.transfer)),
        keys=tuple(_scale().colors for _ in record.transfer),
        time=_time(record.time),
    )


def findings(record: WindowFindingsRecord) -> tuple[str, ...]:
    """What came out, one sentence a question, each with its chance level."""
    probes = [pair for pair in record.agreements if pair.subject.startswith("probes at")]
    consensus = [pair for pair in record.agreements if pair.subject == "checkpoints by consensus"]
    sentences = [_range("Two probes at one checkpoint", probes), _range("Two checkpoints, by the consensus", consensus)]
    sentences += [_contrast(matrix) for matrix in record.transfer]
    return (*filter(None, sentences), _rate(record.time))


def _agreement(subject: str, pair: Agreement) -> AgreementRecord:
    fields = {name: value for name, value in pair.as_dict().items() if name != "rows"}
    return AgreementRecord(subject=subject, **fields)


def _transfer(query: str, matrix: TransferMatrix) -> TransferRecord:
    def entry(name: str, place: tuple[int, int]) -> IntervalRecord:
        ends = (float(getattr(matrix, f"{name}{end}")[place]) for end in ("", "_low", "_high"))
        return IntervalRecord(**dict(zip(("estimate", "low", "high"), ends, strict=True)))

    return TransferRecord(
        query=query,
        heads=matrix.heads,
        flat=matrix.flat,
        pairs=tuple(
            PairRecord(
                one=matrix.heads[one],
                other=matrix.heads[other],
                spearman=entry("spearman", (one, other)),
                overlap=entry("overlap", (one, other)),
            )
            for one, other in combinations(range(len(matrix.heads)), 2)
        ),
        chance=matrix.chance,
        documents=matrix.units,
        contrast=ContrastRecord.model_validate(asdict(matrix.contrast)),
    )


def _range(what: str, pairs: Sequence[AgreementRecord]) -> str:
    """The spread of an agreement over its pairs."""
    if not pairs:
        return ""
    rhos = [pair.spearman for pair in pairs if pair.spearman is not None]
    overlaps = [pair.overlap for pair in pairs]
    ranked = f" (Spearman {_span(rhos)})" if rhos else ""
    chance = _span([pair.chance for pair in pairs])
    return f"{what} share {_span(overlaps)} of their top rows{ranked}; tops that share only their domains would share {chance}."


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def _contrast(matrix: TransferRecord) -> str:
    """Whether induction heads share their top rows with each other more than with other heads."""
    found = matrix.contrast
    parts = [
        f"{words} {number(value.estimate)} {interval(value.low, value.high)}"
        for words, value in (
            ("among induction heads", found.within),
            ("between an induction head and another", found.between),
            ("the same within a layer", found.between_same_layer),
        )
        if value is not None
    ]
    told = (
        ""
        if not parts
        else f"Share of top rows in common by {matrix.query}: {'; '.join(parts)}; chance {number(found.chance)}"
    )
    if found.difference is not None:
        gap = with_interval(found.difference.estimate, found.difference.low, found.difference.high)
        told += f"; difference {gap}" + (f", {p_words(found.p)}" if found.p is not None else "")
    note = f"Not tested: {found.note}" if found.note else ""
    return ". ".join(filter(None, [told, note])) + "."


def _rate(time: TimeRecord) -> str:
    """Whether the influential rows were shown evenly over the window."""
    spread = "evenly over the window" if time.even else "unevenly over the window"
    batch = "more than" if time.magic_batch else "no more than"
    return (
        f"The positive influence was shown {spread} ({p_words(time.p)} against scores permuted over the rows); the largest"
        f" batch, at step {number(time.largest_batch_step)}, holds {percent(time.largest_batch)} of it, {batch} the"
        f" {percent(time.largest_batch_null)} that the largest of 95 % of the permutations holds. A shuffled stream is even by"
        " construction."
    )


def _scale() -> ColorScale:
    return ColorScale(low=0.0, high=1.0, name="seq")


def _heat_map(place: int, matrix: TransferRecord, record: WindowFindingsRecord) -> Figure:
    """Heads down and across, their overlap as colour; induction heads outlined."""
    strongest = sorted(matrix.pairs, key=lambda pair: -pair.overlap.estimate)[:3]
    words = listing([f"{pair.one} and {pair.other} {number(pair.overlap.estimate, 2)}" for pair in strongest])
    note = f"Chance {number(matrix.chance)}. Outlined: pairs of induction heads."
    if matrix.flat:
        note += f" Left out, because every row has the same score on them: {listing(matrix.flat)}."
    return Figure(
        name=f"transfer-{place}",
        title=f"Top {percent(record.fraction)} in common, by {matrix.query}",
        alt=f"Overlap of the top rows of {count(len(matrix.heads), 'line')} of heads by {matrix.query}. Largest: {words}.",
        spec=_spec(matrix, set(record.induction_heads)),
        note=note,
    )


def _spec(matrix: TransferRecord, induction: set[str]) -> charts.Spec:
    """Coloured cells, and the numbers in them where they fit."""
    rows = sorted(_cells(matrix, induction), key=lambda row: bool(row["weight"] > 1))
    fits, order = len(matrix.heads) <= _TEXT_FITS, list(matrix.heads)
    base = alt.Chart().encode(
        x=alt.X("other:N", title=None, sort=order, axis=alt.Axis(labelAngle=-40, domain=False, ticks=False)),
        y=alt.Y("one:N", title=None, sort=order, axis=alt.Axis(domain=False, ticks=False)),
    )
    squares = base.mark_rect(cornerRadius=2).encode(
        color=charts.color("fill"),
        stroke=alt.Stroke("stroke:N", scale=None),
        strokeWidth=alt.StrokeWidth("weight:Q", scale=None),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("one", "other", "overlap", "spearman")],
    )
    numbers = base.mark_text(fontSize=11).encode(text="text:N", color=charts.color("ink"))
    layers = [squares, numbers] if fits else [squares]
    height = len(order) * (34 if fits else 14)
    return charts.layered(*(Layer(chart=layer, rows=rows) for layer in layers), height=height)


def _cells(matrix: TransferRecord, induction: set[str]) -> list[dict[str, Any]]:
    """Every ordered pair, the diagonal included."""
    scale, found = _scale(), {(pair.one, pair.other): pair for pair in matrix.pairs}
    cells = []
    for one in matrix.heads:
        for other in matrix.heads:
            pair = found.get((one, other)) or found.get((other, one))
            value = 1.0 if pair is None else pair.overlap.estimate
            level, outlined = scale.level(value), one in induction and other in induction and one != other
            cells.append(
                {
                    "one": one, "other": other, "value": value, "text": number(value, 2),
                    "overlap": "1" if pair is None else _words(pair.overlap),
                    "spearman": "1" if pair is None else _words(pair.spearman),
                    "fill": f"var(--{scale.name}-{level})", "ink": f"var(--{scale.name}-ink-{level})",
                    "stroke": charts.INK if outlined else "var(--paper)", "weight": 2.5 if outlined else 1,
                }
            )  # fmt: skip
    return cells


def _words(value: IntervalRecord) -> str:
    return f"{number(value.estimate)} {interval(value.low, value.high)}"


def _time(time: TimeRecord) -> Figure:
    """Bars of the shares over the band of the permutations."""
    rows = [
        {"from": start, "to": end, "share": share, "low": low, "high": high}
        for start, end, share, low, high in zip(
            time.edges, time.edges[1:], time.shares, time.low, time.high, strict=False
        )
    ]
    x = alt.X("from:Q", title="training step", scale=alt.Scale(zero=False, nice=False))
    y = alt.Y(
        "share:Q", title="share of the influence", axis=alt.Axis(format=".0%", tickCount=4), scale=alt.Scale(zero=True)
    )
    tips = [alt.Tooltip(f"{name}:Q") for name in ("from", "to")]
    tips += [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("share", "low", "high")]
    base = alt.Chart().encode(x=x, x2="to:Q", tooltip=tips)
    bars = base.mark_rect(color=charts.ACCENT, opacity=0.55, stroke="var(--paper)", strokeWidth=1)
    band = base.mark_rect(color=charts.MUTED, opacity=0.3).encode(y=alt.Y("low:Q"), y2="high:Q")
    return Figure(
        name="window-time",
        title="When the influential rows were shown",
        alt=_rate(time),
        spec=charts.layered(
            Layer(chart=bars.encode(y=y, y2=alt.datum(0)), rows=rows), Layer(chart=band, rows=rows), height=170
        ),
        note="Grey: 95 % of the shares when scores are permuted over the rows, bin by bin.",
    )
