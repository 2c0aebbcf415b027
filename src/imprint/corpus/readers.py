"""Files and folders to a corpus: JSON Lines, plain text, or a folder of both, read strictly and in a fixed order."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint.corpus.decoding import read_text, text_flaw
from imprint.corpus.documents import Corpus, Document
from imprint.corpus.jsonl import excerpt, read_records, string_field, text_field
from imprint.errors import CorpusError

_JSONL = (".jsonl", ".ndjson")
_PACKED = (".gz", ".xz")
_NOTES = ("readme", "license", "licence", "copying", "notice", "provenance", "changelog")


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """One file to read: its name inside what the user gave (used for ids) and the domain its place implies."""

    path: Path
    name: str
    domain: str


def read_corpus(
    path: Path | str | Sequence[Path | str], *, text_key: str = "text", domain_key: str | None = None
) -> Corpus:
    """Corpus of every document in a file, a folder, or a list of them.

    * `.jsonl` (also `.gz`, `.xz`): one document a line under `text_key`; the domain is the value under `domain_key`,
      else the file's stem. The id is the record's `id`, else `stem:line`.
    * any other file: one document; id = its path inside the folder, domain = the folder that it lies in.
    * folder: read with all below it in the order of names. A first-level subfolder is the domain of all below it.
      Hidden names are passed over, and so are notes (README, LICENSE, PROVENANCE, ...) that lie beside JSONL files.

    Raises:
        CorpusError: nothing to read, binary or non-UTF-8 bytes (with offset), malformed line (`file:line`), missing key
            (with the keys seen), empty text, duplicate ids (both places), broken link.
    """
    roots = [Path(path)] if isinstance(path, Path | str) else [Path(one) for one in path]
    files = [file for root in roots for file in _files(root, named=len(roots) > 1)]
    places: dict[str, str] = {}
    documents = [
        _unique(document, where, places)
        for file in files
        for where, document in _documents(file, text_key=text_key, domain_key=domain_key)
    ]
    if not documents:
        named = ", ".join(map(str, roots)) or "(no path)"
        raise CorpusError(f"the corpus {named} is empty: no document was found in it; check the path.")
    return Corpus(documents=tuple(documents))


def _unique(document: Document, where: str, places: dict[str, str]) -> Document:
    first = places.setdefault(document.id, where)
    if first != where:
        raise CorpusError(f"{where} repeats the document id {excerpt(document.id)!r} of {first}; make ids unique.")
    return document


def _documents(file: _File, *, text_key: str, domain_key: str | None) -> Iterator[tuple[str, Document]]:
    if _is_jsonl(file.path):
        for line, record in read_records(file.path):
            where = f"{file.path}:{line}"
            yield where, _from_record(record, file, line, where, text_key=text_key, domain_key=domain_key)
    else:
        yield str(file.path), _from_text(file)


def _from_record(
    record: dict[str, Any], file: _File, line: int, where: str, *, text_key: str, domain_key: str | None
) -> Document:
    text = text_field(record, text_key, where=where)
    domain = file.domain if domain_key is None else string_field(record, domain_key, where=where)
    given = record.get("id")
    if given is not None and (isinstance(given, bool) or not isinstance(given, str | int)):
        raise CorpusError(f"{where}: 'id' is {excerpt(repr(given))}, neither a string nor an integer; correct it.")
    name = f"{_stem(file.name)}:{line}" if given is None else str(given)
    for key, value in (("id", name), (domain_key or "domain", domain)):
        if (flaw := text_flaw(value)) is not None:
            raise CorpusError(f"{where}: the value under {key!r} {flaw}; correct or remove this line.")
    return Document(id=name, text=text, domain=domain, source=_source(record, f"{file.name}:{line}"))


def _source(record: dict[str, Any], default: str) -> str:
    for key in ("source", "src"):
        if isinstance(record.get(key), str) and record[key]:
            return _printable(record[key])
    return default


def _from_text(file: _File) -> Document:
    text = read_text(file.path)
    if (flaw := text_flaw(text)) is not None:
        raise CorpusError(f"{file.path} {flaw}; fill or remove it.")
    return Document(id=file.name, text=text, domain=file.domain, source=file.name)


def _files(root: Path, *, named: bool) -> list[_File]:
    if os.path.isdir(root):
        prefix = f"{root.name}/" if named else ""
        return [_placed(path, root, prefix) for path in _walk(root, above=())]
    if not os.path.isfile(root):
        raise CorpusError(f"there is no file or folder {excerpt(str(root), shown=200)}; check the path.")
    return [_placed(root, root.parent, "")]


def _placed(path: Path, root: Path, prefix: str) -> _File:
    inside = path.relative_to(root)
    in_root = _stem(path.name) if _is_jsonl(path) else os.path.basename(os.path.realpath(root))
    domain = inside.parts[0] if len(inside.parts) > 1 else in_root
    return _File(path=path, name=_printable(prefix + inside.as_posix()), domain=_printable(domain or "text"))


def _walk(folder: Path, *, above: tuple[str, ...]) -> Iterator[Path]:
    """Files below `folder` in the byte order of names; links are followed, except back to a folder we are inside."""
    here = os.path.realpath(folder)
    if here in above:
        return
    entries = _entries(folder)
    beside_jsonl = any(_is_jsonl(entry) for entry in entries)
    for entry in entries:
        if os.path.isdir(entry):
            yield from _walk(entry, above=(*above, here))
        elif not os.path.isfile(entry):
            raise CorpusError(f"{entry} cannot be reached (broken link, special file or no permission); remove it.")
        elif not (beside_jsonl and _is_note(entry)):
            yield entry


def _entries(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise CorpusError(f"{folder} cannot be listed ({error.strerror or error}); check permissions.") from error
    return [folder / name for name in sorted(names, key=os.fsencode) if not name.startswith(".")]


def _is_note(path: Path) -> bool:
    return path.name.lower().startswith(_NOTES) and not _is_jsonl(path)


def _is_jsonl(path: Path) -> bool:
    name = path.stem if path.suffix.lower() in _PACKED else path.name
    return name.lower().endswith(_JSONL)


def _stem(name: str) -> str:
    for suffix in (*_PACKED, *_JSONL):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name


def _printable(name: str) -> str:
    """File names may hold bytes that are not UTF-8 (as lone surrogates); show those as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
