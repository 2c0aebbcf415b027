"""Documents with a domain, the corpus that orders them, and slices that name some of them."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from imprint.corpus.decoding import text_flaw
from imprint.corpus.jsonl import excerpt, read_records, string_field, text_field
from imprint.errors import CorpusError
from imprint.runs.files import write_bytes_atomic, writing


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One text that can be trained on, held out or deleted as a whole.

    `source` says where the text was found; it is provenance only and no part of any digest.

    Raises:
        CorpusError: the text is empty, holds NUL, or holds a lone surrogate; the id or the domain is empty.
    """

    id: str
    text: str
    domain: str
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained on or written down."""
        fields = {"id": self.id, "domain": self.domain, "text": self.text, "source": self.source or "unknown"}
        for name, value in fields.items():
            if (flaw := text_flaw(value)) is not None:
                raise CorpusError(f"the {name} of document {excerpt(self.id)!r} {flaw}; correct or remove it.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Names of some documents of a corpus (sorted) and a digest of what they say, whatever the order they came in."""

    ids: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        """Number of documents named."""
        return len(self.ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Documents in a fixed order with unique ids.

    Raises:
        CorpusError: two documents have the same id.
    """

    documents: tuple[Document, ...]

    def __post_init__(self) -> None:
        """Refuse ids that name two documents."""
        twice = [name for name, times in Counter(self.ids).items() if times > 1]
        if twice:
            raise CorpusError(f"{len(twice)} document ids occur twice, first {excerpt(twice[0])!r}; make ids unique.")

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.documents)

    def __iter__(self) -> Iterator[Document]:
        """Documents in corpus order."""
        return iter(self.documents)

    @property
    def ids(self) -> tuple[str, ...]:
        """Document ids in corpus order."""
        return tuple(document.id for document in self.documents)

    @property
    def domains(self) -> tuple[str, ...]:
        """Domain names, sorted, each once."""
        return tuple(sorted({document.domain for document in self.documents}))

    @property
    def digest(self) -> str:
        """SHA-256 (64 hex characters) over id, domain and text of every document, in order."""
        return _digest(self.documents)

    def by_domain(self) -> dict[str, "Corpus"]:
        """One corpus for each domain (sorted by name), documents in the order they had."""
        groups: dict[str, list[Document]] = {domain: [] for domain in self.domains}
        for document in self.documents:
            groups[document.domain].append(document)
        return {domain: Corpus(documents=tuple(group)) for domain, group in groups.items()}

    def select(self, ids: Iterable[str]) -> "Corpus":
        """The documents with these ids, in the order asked.

        Raises:
            CorpusError: an id is not in this corpus, or was asked for twice.
        """
        known = {document.id: document for document in self.documents}
        wanted = list(ids)
        unknown = [name for name in wanted if name not in known]
        if unknown:
            first, extent = excerpt(unknown[0]), f"{len(unknown)} of {len(wanted)} ids are unknown"
            raise CorpusError(f"no document {first!r} in this corpus of {len(self)} ({extent}); check the ids.")
        return Corpus(documents=tuple(known[name] for name in wanted))

    def slice(self, ids: Iterable[str]) -> Slice:
        """A reference to these documents that commits to their content; raises like `select`."""
        chosen = self.select(sorted(ids))
        return Slice(ids=chosen.ids, digest=chosen.digest)

    def extended(self, documents: Iterable[Document]) -> "Corpus":
        """This corpus followed by more documents."""
        return Corpus(documents=(*self.documents, *documents))

    def save(self, path: Path) -> None:
        """Write one JSON object a line (keys id, text, domain, source) in one atomic step.

        Raises:
            OutputError: the place cannot be written.
        """
        lines = (json.dumps(asdict(document), ensure_ascii=False) + "\n" for document in self.documents)
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, "".join(lines).encode("utf-8"))

    @classmethod
    def load(cls, path: Path) -> "Corpus":
        """Read back what `save` wrote: same documents, same order, same digest.

        Raises:
            CorpusError: a line is malformed or a key is missing, with `file:line`.
        """
        return cls(documents=tuple(_saved(record, f"{path}:{line}") for line, record in read_records(path)))


def _saved(record: dict[str, object], where: str) -> Document:
    text = text_field(record, "text", where=where)
    name, domain, source = (string_field(record, key, where=where) for key in ("id", "domain", "source"))
    return Document(id=name, text=text, domain=domain, source=source)


def _digest(documents: Iterable[Document]) -> str:
    seen = hashlib.sha256()
    for document in documents:
        for field in (document.id, document.domain, document.text):
            raw = field.encode("utf-8")
            seen.update(len(raw).to_bytes(8, "big") + raw)  # the length keeps ("ab", "c") apart from ("a", "bc")
    return seen.hexdigest()
