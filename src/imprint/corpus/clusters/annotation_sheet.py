"""The validation sheet: a stratified sample of every cluster for people to label, as CSV and as one HTML page."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imprint.corpus.clusters.annotation_page import annotation_page
from imprint.corpus.clusters.clustering import Clustering, ClusterUnit
from imprint.corpus.documents import Corpus
from imprint.errors import ConfigError, CorpusError
from imprint.runs.files import read_json, write_bytes_atomic, write_json, writing

SHEET_CSV, SHEET_HTML, SHEET_KEY = "sheet.csv", "sheet.html", "sheet.json"
ANNOTATOR_COLUMNS = ("annotator", "label", "comment")
"""The columns that the annotator fills in."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for the beginning of a formula."""

Excerpt = Callable[[int], str]
"""The text to show for the member at a position of the clustering."""


class SheetItem(BaseModel):
    """One thing to label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str
    """Its name on the sheet, which says nothing about its cluster."""
    cluster: str
    member: str
    """Document id, or the position of a token."""
    text: str


class Sheet(BaseModel):
    """A sample of clusters to be labelled by people; `save` writes sheet.csv, sheet.html and the key, sheet.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: ClusterUnit
    method: str
    clusters: tuple[str, ...]
    labels: tuple[str, ...]
    """The labels that an annotator may give; empty: any words."""
    blind: bool
    """Whether the annotator does not see the cluster."""
    items: tuple[SheetItem, ...]

    def save(self, folder: Path) -> None:
        """Write the three files; the key names each item's cluster, so a blind annotator must not get it."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(folder / SHEET_CSV, self.csv().encode("utf-8"))
        write_bytes_atomic(folder / SHEET_HTML, self.html().encode("utf-8"))
        write_json(folder / SHEET_KEY, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> "Sheet":
        """Read the key back from sheet.json, or from the folder that holds it.

        Raises:
            CorpusError: there is no such file, or it is not the key of a sheet.
        """
        file = path / SHEET_KEY if path.is_dir() else path
        if not file.is_file():
            raise CorpusError(f"there is no {file}, the key that was written beside the sheet; name it")
        try:
            return cls.model_validate(read_json(file))
        except ValidationError as error:
            reason = "; ".join(str(error).splitlines()[1:3])
            raise CorpusError(
                f"{file} is not the key of a validation sheet ({reason}); draw the sheet again"
            ) from error

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the CSV file."""
        return ("item", *(() if self.blind else ("cluster",)), "text", *ANNOTATOR_COLUMNS)

    def csv(self) -> str:
        """The sheet as CSV with empty annotator columns; a cell that a spreadsheet would run is preceded by `'`."""
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\r\n")
        writer.writerow(self.columns)
        for item in self.items:
            shown = {"item": item.item, "cluster": item.cluster, "text": item.text}
            writer.writerow([_harmless(shown.get(column, "")) for column in self.columns])
        return written.getvalue()

    def html(self) -> str:
        """The sheet as one page without outside parts; a button saves what was filled in as CSV."""
        return annotation_page(
            [(one.item, "" if self.blind else one.cluster, one.text) for one in self.items], labels=self.labels
        )


class SheetOptions(BaseModel):
    """How a validation sheet is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    share: float = Field(default=0.01, gt=0, le=1)
    """Share of every cluster."""
    minimum: int = Field(default=5, ge=1)
    """Fewest members of every cluster, if it has as many."""
    labels: tuple[str, ...] = ()
    """The labels an annotator may give; none: any words."""
    blind: bool = False
    """Hide the clusters from the annotator."""
    seed: int = 0

    @model_validator(mode="after")
    def _labels_differ(self) -> "SheetOptions":
        if len({label.casefold() for label in self.labels}) != len(self.labels):
            raise ConfigError(f"a label occurs twice in {', '.join(self.labels)}; labels differ by more than case")
        return self


def draw_sheet(clustering: Clustering, excerpt: Excerpt, options: SheetOptions) -> Sheet:
    """A sample of `share` of every cluster, at least `minimum` members of each (or all it has), in shuffled order.

    Noise is not sampled. `excerpt(position)` gives the text to show. With `blind` the sheet hides the clusters; item
    names never tell them.
    """
    seed = options.seed
    strata = _strata(clustering, options.share, options.minimum, seed)
    chosen = np.concatenate([np.array([], dtype=np.int64), *strata])
    order = np.random.default_rng([seed, clustering.num_clusters]).permutation(chosen)
    width = max(4, len(str(len(order))))
    items = [
        SheetItem(
            item=f"item-{number:0{width}d}",
            cluster=clustering.names[clustering.labels[position]],
            member=clustering.ids[position] if clustering.ids else str(position),
            text=excerpt(int(position)),
        )
        for number, position in enumerate(order, start=1)
    ]
    return Sheet(
        unit=clustering.unit,
        method=clustering.method,
        clusters=clustering.names,
        labels=options.labels,
        blind=options.blind,
        items=tuple(items),
    )


def document_excerpts(corpus: Corpus, *, seed: int, characters: int = 600) -> Excerpt:
    """For a clustering of documents: a passage of each that begins at a random word."""

    def excerpt(position: int) -> str:
        text = corpus.documents[position].text
        drawn = int(np.random.default_rng([seed, position]).integers(max(1, len(text) - characters + 1)))
        start = 1 + max(text.rfind(" ", 0, drawn), text.rfind("\n", 0, drawn))
        return text[start : start + characters].strip() or text.strip()[:characters]

    return excerpt


def _strata(clustering: Clustering, share: float, minimum: int, seed: int) -> list[np.ndarray]:
    drawn = []
    for number in range(clustering.num_clusters):
        members = clustering.members(number)
        count = min(len(members), max(minimum, round(share * len(members))))
        drawn.append(np.random.default_rng([seed, number]).permutation(members)[:count])
    return drawn


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
