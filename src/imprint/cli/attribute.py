"""`imprint attribute MODEL --data corpus --head L1.H2`: influence of documents on one head of any causal model."""

from pathlib import Path
from typing import Literal

from imprint.cli.arguments import Context, Count, Damping, Rows
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.runs import Store, atomic_file


def attribute(
    model: Path,
    /,
    *,
    data: list[Path],
    head: str,
    mechanism: Literal["induction", "previous_token"] = "induction",
    parts: Literal["qkvo", "qk", "vo"] = "qkvo",
    context: Context = 64,
    text_key: str = "text",
    domain_key: str | None = None,
    factor_rows: Rows = 2000,
    damping: Damping = 0.1,
    seed: int = 0,
    top: Count = 15,
    out: Path = Path("imprint-attribution"),
    json: bool = False,
) -> None:
    """EK-FAC influence of every document (and token) on one head, beside all cheap baselines.

    Positive = training on the document raises the probe. The folder keeps scores.parquet (a row per text row) and, in its
    store, token scores; the same command serves them again without computing.

    Args:
        model: The folder of a saved causal model with its tokenizer (a checkpoint inside the transition works best).
        data: Text files, JSONL files or folders.
        head: The head, such as L1.H2; `imprint locate` finds it.
        mechanism: The probes: the three of an induction head, or attention to the previous token.
        parts: Which of the head's matrices: qkvo, qk or vo.
        context: Tokens a row; long documents give several rows.
        text_key: Key of the text in JSONL.
        domain_key: Key of the domain in JSONL; by default the file's or folder's name.
        factor_rows: Rows that the curvature is fitted on.
        damping: Added to the eigenvalues, in units of their mean.
        seed: Seed of sampled labels and random probes.
        top: How many rows to show.
        out: Folder for the results.
        json: Print the top rows as JSON and nothing else.
    """
    from imprint.attribution import CONSENSUS, AttributeModel, EkfacOptions, Scores, score_table
    from imprint.corpus import FileCorpus, Packed, PackedCorpus

    folder = output_folder(out)
    reporter = TerminalReporter(quiet=json)
    store = Store(folder / "store")
    corpus = FileCorpus(paths=tuple(data), text_key=text_key, domain_key=domain_key)
    packing = PackedCorpus(corpus=corpus, context=context, tokenizer=model)
    packed = Packed.load(store.get(packing))
    step = AttributeModel(
        model=model,
        packed=packing,
        head=head,
        parts=parts,
        mechanism=mechanism,
        options=EkfacOptions(max_rows=factor_rows, damping_relative=damping),
        seed=seed,
    )
    with reporter.stage("influence of every row", len(packed) + min(len(packed), factor_rows)) as advance:
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
