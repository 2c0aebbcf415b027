"""Natural text in clusters: passages of a few documents to train on, other passages of the same documents to ask about."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field

from imprint.corpus import CORPUS_FILE, Corpus, Document, MachineCorpus, byte_tokenizer, cut, pack
from imprint.errors import CorpusError
from imprint.runs import Context, Step, derive, read_json, write_json

ROWS, QUERIES = "rows", "queries"
USED_FILE = "used.json"
PLANTED = "planted"
_SHARED = 0.6
"""The share of a planted query's text that its planted rows hold."""


class ClusteredText(Step):
    """Training rows and queries, one passage of bytes each, cut from documents found on this machine.

    Each of `documents` documents gives `passages` training rows, and the first `queries` of them one passage more, which
    is asked about and never trained on. `planted` more documents give a query each, three fifths of whose text begins
    `copies` training rows: what every method should find. The domain of a row or query is its document.
    """

    base: Step = MachineCorpus(bytes_per_domain=60_000)
    documents: int = Field(default=32, ge=2)
    passages: int = Field(default=8, ge=1)
    queries: int = Field(default=24, ge=2)
    planted: int = Field(default=8, ge=2)
    copies: int = Field(default=2, ge=1)
    context: int = Field(default=48, ge=24)
    """Bytes a row holds at most; passages end where a reader would cut, so rows differ in length."""
    seed: int = 0

    @property
    def row_count(self) -> int:
        """Training rows, planted ones last."""
        return self.documents * self.passages + self.planted * self.copies

    @property
    def query_count(self) -> int:
        """Queries, those with planted rows last."""
        return self.queries + self.planted

    def execute(self, folder: Path, context: Context) -> None:
        """Cut, choose, plant and pack."""
        found = self._documents(Corpus.load(context.get(self.base) / CORPUS_FILE))
        rows: list[Document] = []
        queries: list[Document] = []
        used: list[str] = []
        for number in range(self.documents + self.planted):
            source, pieces = next(found)
            used.append(source)
            planted = number >= self.documents
            name = f"{PLANTED if planted else 'document'} {number:02d}"
            query, others = pieces[0], pieces[1:]
            texts = [_planted(query, one) for one in others[: self.copies]] if planted else others[: self.passages]
            rows += [_document(f"{name}/{place}", text, name) for place, text in enumerate(texts)]
            if planted or number < self.queries:
                queries.append(_document(f"{name}/query", query, name))
        for part, documents in ((ROWS, rows), (QUERIES, queries)):
            corpus = Corpus(documents=tuple(documents))
            pack(corpus, byte_tokenizer(), context=self.context, min_tokens=1).save(folder / part)
        write_json(folder / USED_FILE, used)

    def _documents(self, corpus: Corpus) -> Iterator[tuple[str, list[str]]]:
        """Ids and passages of documents that have enough of them, in random order, from every domain in turn."""
        generator = np.random.default_rng(derive(self.seed, "clustered text"))
        domains = [generator.permutation(len(part)).tolist() for part in corpus.by_domain().values()]
        parts = [list(part) for part in corpus.by_domain().values()]
        needed, given = max(self.passages, self.copies) + 1, 0
        while any(domains):
            for order, part in zip(domains, parts, strict=True):
                while order:
                    document = part[order.pop()]
                    pieces = self._passages(document.text)
                    if len(pieces) >= needed:
                        yield document.id, [pieces[place] for place in generator.permutation(len(pieces))]
                        given += 1
                        break
        raise CorpusError(
            f"only {given} of {self.documents + self.planted} documents have {needed} passages of {self.context} bytes;"
            " collect more text or ask for fewer documents"
        )

    def _passages(self, text: str) -> list[str]:
        """Different passages of a document that hold at least half of what fits."""
        pieces = dict.fromkeys(cut(text, max_bytes=self.context))
        return [piece for piece in pieces if len(piece.strip().encode("utf-8")) >= self.context // 2]


class BackgroundText(Step):
    """The documents that no row and no query was cut from: what the model has read before."""

    text: ClusteredText

    def execute(self, folder: Path, context: Context) -> None:
        """Leave out what is used, save the rest."""
        used = set(read_json(context.get(self.text) / USED_FILE))
        whole = Corpus.load(context.get(self.text.base) / CORPUS_FILE)
        Corpus(documents=tuple(one for one in whole if one.id not in used)).save(folder / CORPUS_FILE)


def _planted(query: str, other: str) -> str:
    """The first part of the query's text, then another passage's end."""
    kept = query[: round(_SHARED * len(query))]
    return kept + other[-(len(query) - len(kept)) :]


def _document(name: str, text: str, domain: str) -> Document:
    return Document(id=name, text=text, domain=domain)
