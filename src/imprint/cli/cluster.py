"""`imprint cluster CORPUS` divides a corpus and describes its clusters; `imprint cluster agreement` reads labels back."""

from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from imprint.cli.arguments import Context, Count, MinSamples, Share, Tokens
from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError

cluster = App(
    name="cluster", help="Divide a corpus into clusters, describe each, and draw a sheet for people to check."
)

Method = Literal["domains", "lda", "bertopic", "dbscan"]
_ONLY_FOR: dict[str, tuple[Method, ...]] = {
    "clusters": ("lda", "bertopic"),
    "encoder": ("bertopic",),
    "model": ("dbscan",),
    "layer": ("dbscan",),
    "eps": ("dbscan",),
}
"""Options that mean something for some methods only; elsewhere they are refused, not ignored."""


@cluster.default
def divide(
    corpus: Path,
    /,
    *,
    method: Method = "domains",
    clusters: Count | None = None,
    encoder: str | None = None,
    smallest: Count | None = None,
    model: str | None = None,
    layer: str | None = None,
    eps: float | None = None,
    min_samples: MinSamples = 10,
    tokens: Tokens = 20_000,
    context: Context = 128,
    documents: Count | None = None,
    text_key: str = "text",
    domain_key: str | None = None,
    sample: Share = 0.01,
    sample_least: Count = 5,
    labels: list[str] | None = None,
    blind: bool = False,
    seed: int = 0,
    out: Path = Path("imprint-clusters"),
    json: bool = False,
) -> None:
    """Divide the documents (or tokens) of a corpus, describe every cluster, and draw a validation sheet.

    The folder gets clustering/ (labels), the characterisation of the clusters (JSON; for documents Parquet as well), and
    sheet.csv and sheet.html with the key sheet.json. Label the sheet; `imprint cluster agreement` reads it back.

    Args:
        corpus: A text file, a JSONL file (also .gz, .xz) or a folder of them.
        method: The given domains, topics by LDA, topics by BERTopic (extra 'topics'), or token clusters by DBSCAN.
        clusters: How many topics; by default 10 for LDA, and as many as are found for BERTopic.
        encoder: For BERTopic: folder of a sentence encoder, or an installed package that carries one.
        smallest: Fewest documents of a BERTopic topic (10), or tokens of a DBSCAN cluster (all).
        model: For DBSCAN: a hub name, the folder of a saved model, or a .gguf file.
        layer: For DBSCAN: the number of a block (its output is clustered), or a site such as L3.mlp.
        eps: For DBSCAN, in standard deviations; without it the candidates are shown and the suggested one is taken.
        min_samples: For DBSCAN: tokens within eps, itself included, that make a token a core point.
        tokens: For DBSCAN: about so many tokens, spread over the domains.
        context: For DBSCAN: tokens a row of text.
        documents: Use at most so many documents of every domain, drawn at random.
        text_key: Key of the text in JSONL.
        domain_key: Key of the domain in JSONL; by default the file's or folder's name.
        sample: Share of each cluster on the validation sheet.
        sample_least: Fewest items of each cluster on the sheet.
        labels: Labels that annotators choose from; by default any words.
        blind: Do not show annotators the cluster.
        seed: Seed of topics, samples and intervals.
        out: Folder for the results.
        json: Print the clusters as JSON and nothing else.
    """
    given = {"clusters": clusters, "encoder": encoder, "model": model, "layer": layer, "eps": eps}
    _refuse_idle(method, [name for name, value in given.items() if value is not None])
    from imprint.cli.cluster_documents import cluster_documents, document_method
    from imprint.cli.cluster_tokens import TokenOptions, cluster_the_tokens
    from imprint.corpus import FileCorpus
    from imprint.corpus.clusters import CorpusSample, SheetOptions
    from imprint.runs import Step, Store

    sheet = SheetOptions(share=sample, minimum=sample_least, labels=tuple(labels or ()), blind=blind, seed=seed)
    whole: Step = FileCorpus(paths=(corpus,), text_key=text_key, domain_key=domain_key)
    text = whole if documents is None else CorpusSample(corpus=whole, per_domain=documents, seed=seed)
    reporter = TerminalReporter(quiet=json)
    if method == "dbscan":
        options = TokenOptions.checked(
            model=model,
            layer=layer,
            eps=eps,
            min_samples=min_samples,
            smallest=smallest or 0,
            tokens=tokens,
            context=context,
        )
        folder = output_folder(out)
        return cluster_the_tokens(text, options, sheet, folder, Store(folder / "store"), reporter, as_json=json)
    chosen = document_method(method, clusters=clusters, encoder=encoder, smallest=smallest or 10, seed=seed)
    folder = output_folder(out)
    cluster_documents(text, chosen, sheet, folder, Store(folder / "store"), reporter, as_json=json)


@cluster.command
def agreement(*sheets: Path, key: Path | None = None, seed: int = 0, json: bool = False) -> None:
    """Read labelled sheets back: agreement of the annotators (Krippendorff's alpha) and coherence of every cluster.

    Args:
        sheets: The CSV files that annotators filled in, one or several.
        key: The sheet's key, sheet.json, or its folder; by default beside the first file.
        seed: Seed of the bootstrap.
        json: Print the report as JSON and nothing else.
    """
    from imprint.corpus.clusters import Sheet, annotation_report, read_labels

    if not sheets:
        raise ConfigError("no labelled sheet is given; name the CSV files that annotators filled in")
    sheet = Sheet.load(sheets[0].parent if key is None else key)
    report = annotation_report(sheet, read_labels(sheets, sheet), seed=seed)
    if json:
        return print_json(report.as_dict())
    rows = [
        (one.cluster, one.items, one.labelled, one.modal_label or "-", *_interval(one.coherence))
        for one in report.clusters
    ]
    columns = ("cluster", "items", "labelled", "modal label", "coherence", "low", "high")
    print_table(f"What {len(report.annotators)} annotator(s) called the clusters", columns, rows)
    alpha = report.agreement
    print_lines(
        [
            f"No agreement to report: {report.agreement_note}"
            if alpha is None
            else f"Krippendorff's alpha {alpha.estimate:.3f} [{alpha.low:.3f}, {alpha.high:.3f}] over {alpha.n} items."
        ]
    )


def _refuse_idle(method: Method, given: list[str]) -> None:
    for name in given:
        if method not in _ONLY_FOR[name]:
            wanted = " or ".join(_ONLY_FOR[name])
            raise ConfigError(f"--{name} is for --method {wanted}, not for {method}; leave it out or change the method")


def _interval(effect: Any) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if effect is None else (effect.estimate, effect.low, effect.high)
