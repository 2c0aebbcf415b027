"""What people made of the clusters: labels read back from CSV, agreement among annotators, coherence of each cluster."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from statsmodels.stats.proportion import proportion_confint

from imprint.corpus.clusters.annotation_sheet import FORMULA, Sheet
from imprint.corpus.decoding import read_text
from imprint.corpus.jsonl import excerpt
from imprint.errors import CorpusError, InputError
from imprint.stats import Effect
from imprint.stats.agreement import MISSING, krippendorff_alpha

Labels = Mapping[tuple[str, str], str]
"""Label by (annotator, item)."""
_NEEDED = ("item", "label")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterVerdict:
    """What annotators called the items of one cluster."""

    cluster: str
    items: int
    """Items on the sheet."""
    labelled: int
    """Items with at least one label."""
    modal_label: str
    """The label that most items have by majority of their annotators; "" if none has."""
    coherence: Effect | None
    """Share of the labelled items whose majority label is `modal_label` (Wilson interval); None below two items."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotationReport:
    """Agreement of the annotators and coherence of every cluster."""

    annotators: tuple[str, ...]
    labelled: int
    items: int
    agreement: Effect | None
    """Krippendorff's alpha over items; None where it is undefined."""
    agreement_note: str
    """Why there is no agreement to report; empty when there is one."""
    clusters: tuple[ClusterVerdict, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def read_labels(paths: Sequence[Path], sheet: Sheet) -> Labels:
    """The labels in one or several CSV files (comma or semicolon, UTF-8), checked against the sheet.

    Columns `item` and `label` are needed; the annotator is the value under `annotator`, else the name of the file.
    Labels are compared without case and outer blanks; an empty label is a missing one.

    Raises:
        CorpusError: a missing column, an item that is not on the sheet, a label that the sheet does not offer, or a
            second label of one annotator for one item (each with file and line), or no label at all.
    """
    known = {item.item for item in sheet.items}
    offered = {label.casefold(): label for label in sheet.labels}
    found: dict[tuple[str, str], str] = {}
    for path in paths:
        for line, row in _rows(path):
            where, item = f"{path}:{line}", row["item"]
            if item not in known:
                raise CorpusError(
                    f"{where}: item {excerpt(item)!r} is not on the sheet; use the sheet's own item names"
                )
            if not row["label"]:
                continue
            label = _label(row["label"], offered, where)
            annotator = row.get("annotator") or path.stem
            if (annotator, item) in found:
                raise CorpusError(
                    f"{where}: annotator {excerpt(annotator)!r} labels {item} a second time; name each annotator in the "
                    "annotator column, or remove this line"
                )
            found[annotator, item] = label
    if not found:
        raise CorpusError(f"no label is filled in in {', '.join(map(str, paths))}; fill in the label column")
    return found


def annotation_report(sheet: Sheet, labels: Labels, *, seed: int) -> AnnotationReport:
    """Krippendorff's alpha of the annotators, and for each cluster how many of its items people call the same.

    An item's majority label is the one that most of its annotators gave; a tie is no majority and counts against the
    cluster.

    Trust: the modal label is chosen from the same items, so the coherence of a cluster with few items is too high (two
    kinds at even chance give .69 for 5 items); agreement says whether the labels themselves can be trusted.
    """
    annotators = tuple(sorted({annotator for annotator, _ in labels}))
    agreement, note = _agreement(sheet, labels, annotators, seed)
    majority = {item.item: _majority(item.item, labels, annotators) for item in sheet.items}
    verdicts = tuple(
        _verdict(cluster, [majority[item.item] for item in sheet.items if item.cluster == cluster])
        for cluster in sheet.clusters
    )
    return AnnotationReport(
        annotators=annotators,
        labelled=sum(one is not None for one in majority.values()),
        items=len(sheet.items),
        agreement=agreement,
        agreement_note=note,
        clusters=verdicts,
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line at which each record begins, and its cells by lower-case column name."""
    text = read_text(path).removeprefix("\ufeff")
    first = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True
    )
    columns = [name.strip().casefold() for name in _next(reader, path) or []]
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        seen = ", ".join(repr(name) for name in columns) or "none"
        raise CorpusError(
            f"{path}:1 has no column {missing[0]!r} (columns seen: {excerpt(seen)}); keep the sheet's header"
        )
    while True:
        line = reader.line_num + 1
        cells = _next(reader, path)
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            if len(cells) != len(columns):
                raise CorpusError(f"{path}:{line} has {len(cells)} cells for {len(columns)} columns; correct this line")
            yield line, {name: _plain(cell) for name, cell in zip(columns, cells, strict=True)}


def _next(reader: Any, path: Path) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: not valid CSV ({error}); save the sheet as CSV again") from error


def _plain(cell: str) -> str:
    """A cell without outer blanks and without the mark that kept a spreadsheet from running it."""
    plain = " ".join(cell.split())
    return plain[1:] if plain.startswith("'") and plain[1:].startswith(FORMULA) else plain


def _label(given: str, offered: Mapping[str, str], where: str) -> str:
    if offered and given.casefold() not in offered:
        listed = ", ".join(offered.values())
        raise CorpusError(f"{where}: the label {excerpt(given)!r} is not offered by the sheet; use one of: {listed}")
    return offered.get(given.casefold(), given.casefold())


def _agreement(sheet: Sheet, labels: Labels, annotators: tuple[str, ...], seed: int) -> tuple[Effect | None, str]:
    try:
        return krippendorff_alpha(_table(sheet, labels, annotators), seed=seed), ""
    except InputError as error:
        return None, str(error)


def _table(sheet: Sheet, labels: Labels, annotators: tuple[str, ...]) -> Int[np.ndarray, "annotator item"]:
    number = {label: place for place, label in enumerate(sorted(set(labels.values())))}
    rows = [
        [number[labels[who, item.item]] if (who, item.item) in labels else MISSING for item in sheet.items]
        for who in annotators
    ]
    return np.array(rows, dtype=np.int64).reshape(len(annotators), len(sheet.items))


def _majority(item: str, labels: Labels, annotators: tuple[str, ...]) -> str | None:
    """The label most annotators gave; "" for a tie, None for an item without a label."""
    ranked = Counter(labels[who, item] for who in annotators if (who, item) in labels).most_common(2)
    if not ranked:
        return None
    return "" if len(ranked) == 2 and ranked[0][1] == ranked[1][1] else ranked[0][0]


def _verdict(cluster: str, majority: list[str | None]) -> ClusterVerdict:
    given = [label for label in majority if label is not None]
    ranked = sorted(Counter(filter(None, given)).items(), key=lambda pair: (-pair[1], pair[0]))
    modal, times = ranked[0] if ranked else ("", 0)
    coherence = _share(times, len(given)) if len(given) >= 2 else None
    return ClusterVerdict(
        cluster=cluster, items=len(majority), labelled=len(given), modal_label=modal, coherence=coherence
    )


def _share(times: int, of: int) -> Effect:
    low, high = proportion_confint(times, of, alpha=0.05, method="wilson")
    return Effect(
        estimate=times / of,
        low=min(float(low), times / of),
        high=max(float(high), times / of),
        n=of,
        unit="item",
        control="none: a description",
        metric="share of items with the modal label",
    )
