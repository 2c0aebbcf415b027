"""Influence of documents on one head at several checkpoints: how far probes and checkpoints agree, and their mean rank."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from imprint.attribution import (
    MEAN_RANK,
    AttributeModel,
    EkfacOptions,
    HeadParts,
    Scores,
    WindowAgreement,
    consensus,
    window_agreement,
    window_sum,
)
from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.corpus import Packed, PackedCorpus
from imprint.runs import Store, atomic_file

_FRACTION = 0.1


def attribute_window(
    models: Sequence[Path],
    packing: PackedCorpus,
    head: str,
    parts: HeadParts,
    options: Mapping[str, Any],
    seed: int,
    top: int,
    folder: Path,
    *,
    json: bool,
) -> None:
    """Score (or read) every checkpoint and print the agreements and the rows of highest mean rank.

    Checkpoints are numbered from 0 in the order given.
    """
    reporter = TerminalReporter(quiet=json)
    store = Store(folder / "store")
    packed = Packed.load(store.get(packing))
    found = {}
    for number, model in enumerate(models):
        fields = {"model": model, "packed": packing, "head": head, "parts": parts, "seed": seed}
        step = AttributeModel.model_validate({**fields, "options": EkfacOptions(**options)})
        units = len(packed) + min(len(packed), options["max_rows"])
        with reporter.stage(f"influence at checkpoint {number}: {model.name}", units) as advance:
            found[number] = Scores.load(store.get(step, progress=reporter, advance=advance))
    agreement = window_agreement(found, fraction=_FRACTION)
    columns = {"document": packed.row_ids, "domain": packed.row_domains, MEAN_RANK: window_sum(found)}
    columns |= {f"consensus at checkpoint {number}": consensus(scores) for number, scores in found.items()}
    table = pl.DataFrame(columns)
    with atomic_file(folder / "window.parquet") as partial:
        table.write_parquet(partial)
    shown = table.sort(MEAN_RANK, descending=True, maintain_order=True).head(top)
    lines = _lines(agreement)
    if json:
        agreements = [
            dict(zip(("of", "one", "other", "spearman", "overlap", "p"), line, strict=True)) for line in lines
        ]
        return print_json({"rows": shown.to_dicts(), "agreement": agreements, "chance": _FRACTION})
    print_table(f"The {len(shown)} rows with the highest {MEAN_RANK} on {head}", shown.columns, shown.rows())
    print_table(
        f"Agreement (overlap of the top {_FRACTION:.0%}; {_FRACTION} is chance)",
        ["of", "one", "other", "Spearman", "overlap", "p"],
        lines,
    )
    print_lines(
        [
            *(f"Checkpoint {number}: {model}" for number, model in enumerate(models)),
            f"The mean rank over checkpoints is a heuristic. All {len(table)} rows: {folder / 'window.parquet'}",
        ]
    )


def _lines(agreement: WindowAgreement) -> list[tuple[str, str, str, float | None, float, float]]:
    """One line a pair: what is compared, the pair, Spearman, overlap, p."""
    groups = [(f"probes at checkpoint {step}", pairs) for step, pairs in agreement.probes.items()]
    groups += [(f"checkpoints by {name}", pairs) for name, pairs in agreement.checkpoints.items()]
    return [
        (name, pair.one, pair.other, pair.spearman, pair.overlap, pair.p) for name, pairs in groups for pair in pairs
    ]
