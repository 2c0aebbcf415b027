"""Influence of documents on one head's probes, as a table and a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imprint.attribution import (
    CONSENSUS,
    AttributeModel,
    EkfacOptions,
    HeadMechanism,
    HeadOfModel,
    HeadParts,
    Scores,
    attribute_sharded,
    score_table,
)
from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.corpus import Packed, PackedCorpus
from imprint.runs import Executor, Store, atomic_file


def attribute_one_head(
    model: Path,
    packing: PackedCorpus,
    head: str,
    mechanism: HeadMechanism,
    parts: HeadParts,
    options: Mapping[str, Any],
    seed: int,
    top: int,
    folder: Path,
    *,
    executor: Executor | None = None,
    json: bool,
) -> None:
    """Score (or read) and print the rows of highest influence; with an executor in shards, else in one piece."""
    reporter = TerminalReporter(quiet=json)
    store = Store(folder / "store")
    packed = Packed.load(store.get(packing))
    question = HeadOfModel(
        model=model,
        packed=packing,
        head=head,
        parts=parts,
        mechanism=mechanism,
        options=EkfacOptions(**options),
        seed=seed,
    )
    if executor is not None:
        scored = attribute_sharded(question, store, executor, progress=reporter)
    else:
        step = AttributeModel(**dict(question))
        with reporter.stage("influence of every row", len(packed) + min(len(packed), options["max_rows"])) as advance:
            scored = store.get(step, progress=reporter, advance=advance)
    scores = Scores.load(scored)
    first = CONSENSUS if mechanism == "induction" else scores.queries[0]
    table = score_table(scored, packed)
    with atomic_file(folder / "scores.parquet") as partial:
        table.write_parquet(partial)
    shown = table.sort(first, descending=True, maintain_order=True).head(top)
    if json:
        return print_json(shown.to_dicts())
    columns = ["document", "domain", first, *(name for name in scores.queries if "/" not in name)]
    print_table(f"The {len(shown)} rows with the highest influence on {head}", columns, shown.select(columns).rows())
    checks = ", ".join(f"{name} {value:.2g}" for name, value in scores.checks.items())
    print_lines([f"Self-checks: {checks}", f"All {len(table)} rows: {folder / 'scores.parquet'}"])
