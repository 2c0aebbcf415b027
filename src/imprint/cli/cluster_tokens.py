"""What `imprint cluster --method dbscan` does: capture states, show the candidates of eps, cluster, describe, show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint.cli.cluster_documents import CLUSTERING_FOLDER, computed, deliver, deliver_sheet, is_filled_in
from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.corpus import PackedCorpus
from imprint.corpus.clusters import SHEET_CSV, SHEET_HTML, SHEET_KEY, Clustering, Sheet, SheetOptions
from imprint.errors import ConfigError
from imprint.models import Activations, ImportedModel
from imprint.models.imported import WEIGHTS_FOLDER
from imprint.models.token_clusters import (
    EPSILON_FILE,
    TOKEN_CHARACTER_FILE,
    ClusterTokens,
    EpsilonDiagnostics,
    SampledRows,
    TokenSheet,
)
from imprint.runs import Step, Store, read_json

_QUALITY_FILE = "quality.json"
_WORDS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenOptions:
    """The options of DBSCAN on the states of a model."""

    model: str
    site: str
    eps: float | None
    min_samples: int
    smallest: int
    tokens: int
    context: int

    @staticmethod
    def checked(*, model: str | None, layer: str | None, eps: float | None, **rest: int) -> "TokenOptions":
        """The options, or one sentence about what is missing."""
        if model is None or layer is None:
            missing = "--model" if model is None else "--layer"
            raise ConfigError(f"--method dbscan clusters the states of a model: {missing} is missing")
        if eps is not None and not 0 < eps < float("inf"):
            raise ConfigError(f"--eps {eps} is no distance; give a positive number of standard deviations")
        site = f"L{int(layer)}.resid_post" if layer.isdecimal() else layer
        return TokenOptions(model=model, site=site, eps=eps, **rest)


def cluster_the_tokens(
    text: Step,
    options: TokenOptions,
    sheet_options: SheetOptions,
    folder: Path,
    store: Store,
    reporter: TerminalReporter,
    *,
    as_json: bool,
) -> None:
    """Capture, diagnose eps, cluster, describe, draw the sheet; then files into `folder`, clusters onto the terminal."""
    activations, packed = _activations(text, options, store, reporter)
    eps = options.eps if options.eps is not None else _suggested(activations, options, store, reporter, as_json=as_json)
    clusters = ClusterTokens(
        activations=activations,
        site=options.site,
        eps=eps,
        min_samples=options.min_samples,
        min_cluster_size=options.smallest,
        tokenizer=packed,
        seed=sheet_options.seed,
    )
    found = computed(store, clusters, "cluster the tokens", reporter)
    sheet = store.get(TokenSheet(corpus=text, clusters=clusters, options=sheet_options), progress=reporter)
    keep = is_filled_in(folder, Sheet.load(sheet))
    Clustering.load(found).save(folder / CLUSTERING_FOLDER)
    deliver(found, (TOKEN_CHARACTER_FILE, EPSILON_FILE, _QUALITY_FILE), folder)
    deliver_sheet(sheet, folder, keep=keep)
    _show(found, folder, as_json=as_json)


def _activations(
    text: Step, options: TokenOptions, store: Store, reporter: TerminalReporter
) -> tuple[Activations, PackedCorpus]:
    model = ImportedModel.of(options.model, dtype="float32")
    imported = computed(store, model, "load the model", reporter)
    packed = PackedCorpus(corpus=text, context=options.context, tokenizer=imported / WEIGHTS_FOLDER)
    rows = SampledRows(packed=packed, tokens=options.tokens)
    activations = Activations(packed=rows, model=model, sites=(options.site,))
    computed(store, activations, "capture the states", reporter)
    return activations, packed


def _suggested(
    activations: Activations, options: TokenOptions, store: Store, reporter: TerminalReporter, *, as_json: bool
) -> float:
    """The suggested eps, after its rivals were shown: choosing eps is the user's task, not ours."""
    step = EpsilonDiagnostics(activations=activations, site=options.site, min_samples=options.min_samples)
    report = read_json(computed(store, step, "try values of eps", reporter) / EPSILON_FILE)
    if not as_json:
        columns = ("eps", "why", "clusters", "noise", "largest", "neighbours")
        fields = ("eps", "reason", "num_clusters", "noise_share", "largest_share", "neighbours")
        rows = [tuple(one[field] for field in fields) for one in report["candidates"]]
        print_table(f"Candidates of eps at {options.site}", columns, rows)
    if report["suggested"] is None:
        raise ConfigError(f"{report['warning']} (or name one with --eps)")
    return float(report["suggested"])


def _show(found: Path, folder: Path, *, as_json: bool) -> None:
    divided = Clustering.load(found)
    quality, described = read_json(found / _QUALITY_FILE), read_json(found / TOKEN_CHARACTER_FILE)
    if as_json:
        facts = {"method": divided.method, "tokens": len(divided), "noise": divided.num_noise}
        report = read_json(found / EPSILON_FILE)
        return print_json({**facts, "epsilon": report, "quality": quality, "clusters": described})
    columns = ("cluster", "tokens", "share", "documents", "main domain", "distinctive tokens")
    print_table(f"{len(described)} clusters by {divided.method}", columns, [_row(one) for one in described])
    stability = quality["stability"]
    print_lines(
        [
            f"{divided.num_noise} of {len(divided)} tokens are noise.",
            f"Stability over resamples (ARI) {stability['estimate']:.2f} [{stability['low']:.2f}, {stability['high']:.2f}], "
            f"DBCV {_number(quality['dbcv'])}, silhouette {_number(quality['silhouette'])}.",
            *(f"Against these clusters: {concern}." for concern in quality["concerns"]),
            f"Diagnostics: {folder / EPSILON_FILE}, {folder / _QUALITY_FILE}",
            f"To be labelled by people: {folder / SHEET_CSV} or {folder / SHEET_HTML} (the key is {SHEET_KEY})",
        ]
    )


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    domain, share = next(iter(sorted(one["domains"].items(), key=lambda pair: -pair[1])))
    tokens = " ".join(repr(word["word"]) for word in one["distinctive"][:_WORDS])
    return (one["name"], one["tokens"], one["share"], one["documents"], f"{domain} ({share:.0%})", tokens)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
