"""The extremes of a corpus of any size on one head's probes, as a table and a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from imprint.attribution import EkfacOptions, ExtremeRows, ExtremesOfModel, HeadMechanism, HeadParts
from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.corpus import MappedRows, PackedCorpus
from imprint.runs import Store, atomic_file


def attribute_stream(
    model: Path,
    packing: PackedCorpus,
    head: str,
    mechanism: HeadMechanism,
    parts: HeadParts,
    options: Mapping[str, Any],
    seed: int,
    keep: int,
    top: int,
    folder: Path,
    *,
    json: bool,
) -> None:
    """Score (or read) the rows in chunks and print the best of each probe; the file has both ends."""
    reporter = TerminalReporter(quiet=json)
    store = Store(folder / "store")
    rows = MappedRows(store.get(packing))
    step = ExtremesOfModel(
        model=model,
        packed=packing,
        head=head,
        keep=keep,
        parts=parts,
        mechanism=mechanism,
        options=EkfacOptions(**options),
        seed=seed,
    )
    with reporter.stage("influence of every row", len(rows) + min(len(rows), options["max_rows"])) as advance:
        found = ExtremeRows.load(store.get(step, progress=reporter, advance=advance))
    table = _table(found, rows)
    with atomic_file(folder / "extremes.parquet") as partial:
        table.write_parquet(partial)
    curved = [query for query in found.queries if "/" not in query]
    highest = pl.col("end") == "top"
    shown = table.filter(highest & pl.col("query").is_in(curved) & (pl.col("rank") <= top))
    if json:
        return print_json(shown.to_dicts())
    columns = ["query", "rank", "document", "domain", "score"]
    print_table(f"The rows with the highest influence on {head}", columns, shown.select(columns).rows())
    checks = ", ".join(f"{name} {value:.2g}" for name, value in found.checks.items())
    print_lines(
        [
            f"Self-checks: {checks}",
            f"{found.rows} rows were scored; the {keep} highest and lowest of each probe: {folder / 'extremes.parquet'}",
        ]
    )


def _table(found: ExtremeRows, rows: MappedRows) -> pl.DataFrame:
    """One line a kept row: query, end, rank, row, document, domain, score."""
    pieces = []
    for end, numbers, scores in (
        ("top", found.top, found.top_scores),
        ("bottom", found.bottom, found.bottom_scores),
    ):
        documents, domains = rows.names(numbers.ravel())
        queries, keep = numbers.shape
        pieces.append(
            pl.DataFrame(
                {
                    "query": np.repeat(np.array(found.queries), keep),
                    "end": [end] * numbers.size,
                    "rank": np.tile(np.arange(1, keep + 1), queries),
                    "row": numbers.ravel(),
                    "document": documents,
                    "domain": domains,
                    "score": scores.ravel().astype(np.float64),
                }
            )
        )
    return pl.concat(pieces)
