"""Influence of documents on the likelihood of query texts, as a table and a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from imprint.attribution import AttributeTexts, EkfacOptions, Scores, parse_size
from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.corpus import Packed, PackedCorpus
from imprint.errors import CorpusError
from imprint.runs import Store, atomic_file

_TOTAL = "all queries"
_STEADY = 0.7


def attribute_texts(
    model: Path,
    packing: PackedCorpus,
    asking: PackedCorpus,
    options: Mapping[str, Any],
    *,
    layers: tuple[int, ...] | None,
    head: str | None,
    split: Literal["module", "head"],
    embedding: bool,
    by_token: bool,
    memory: str,
    seed: int,
    top: int,
    folder: Path,
    json: bool,
) -> None:
    """Score (or read) and print the rows of highest influence on all queries together, and the best of each query."""
    budget = parse_size(memory)
    reporter = TerminalReporter(quiet=json)
    store = Store(folder / "store")
    packed, asked = Packed.load(store.get(packing)), Packed.load(store.get(asking))
    if len(asked) == 0:
        raise CorpusError("the query files hold no text; give at least one sentence")
    step = AttributeTexts(
        model=model,
        packed=packing,
        asked=asking,
        layers=layers,
        head=head,
        split=split,
        embedding=embedding,
        by_token=by_token,
        options=EkfacOptions(**options, stability="refit" if head else "eigenvalues"),
        memory=budget,
        seed=seed,
    )
    with reporter.stage("influence of every row", len(packed) + min(len(packed), options["max_rows"])) as advance:
        scored = store.get(step, progress=reporter, advance=advance)
    scores = Scores.load(scored)
    table = _table(scores, packed, asked)
    with atomic_file(folder / "scores.parquet") as partial:
        table.write_parquet(partial)
    shown = table.sort(_TOTAL, descending=True, maintain_order=True).head(top)
    if json:
        return print_json(shown.to_dicts())
    columns = ["document", "domain", _TOTAL]
    queries = "1 query" if len(asked) == 1 else f"{len(asked)} queries"
    title = f"The {len(shown)} rows with the highest influence on {queries} ({scores.subspace})"
    print_table(title, columns, shown.select(columns).rows())
    _print_groups(scores)
    checks = ", ".join(f"{name} {value:.2g}" for name, value in scores.checks.items())
    print_lines(
        [
            "Positive: training on the row raises the likelihood of the queries. Scores are first-order; their sum over many"
            " rows is not the effect of removing them.",
            f"Self-checks: {checks}",
            *_doubts(scores.checks["split_half"]),
            f"All {len(table)} rows, {queries}: {folder / 'scores.parquet'}",
        ]
    )


def _doubts(split_half: float) -> list[str]:
    """A sentence where two halves of the rows give other rankings."""
    if split_half >= _STEADY:
        return []
    return [
        f"Curvature from two halves of the rows ranks them differently (Spearman {split_half:.2f}): do not read single scores."
    ]


def _table(scores: Scores, packed: Packed, asked: Packed) -> pl.DataFrame:
    """One line a row: document, domain, the sum over queries, and every query under its document's name."""
    count = len(asked)
    columns = {"document": packed.row_ids, "domain": packed.row_domains, _TOTAL: scores.rows[:count].sum(0)}
    names = [str(name) for name in asked.row_ids]
    for number, name in enumerate(names):
        title = name if names.count(name) == 1 else f"{name} [{names[:number].count(name)}]"
        columns[f"query: {title}"] = scores.rows[number]
    return pl.DataFrame(columns)


def _print_groups(scores: Scores) -> None:
    """Where the influence flows: each group's share of the absolute scores."""
    if scores.by_group is None or len(scores.groups) < 2:
        return
    count = sum("/" not in name for name in scores.queries)
    weight = np.abs(np.asarray(scores.by_group[:count])).sum((0, 2))
    order = np.argsort(-weight)[:10]
    rows = [(scores.groups[place], f"{weight[place] / weight.sum():.1%}") for place in order]
    print_table("Where it flows (share of absolute influence)", ["part", "share"], rows)
