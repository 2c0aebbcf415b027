"""Real text in several natural domains from what every machine with Python holds; none of it goes into the repository.

The choice depends on the files' content, their paths below the roots and the seed, never on listing order, file times
or where a root lies.
"""

import ast
import hashlib
import logging
import os
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from imprint.corpus.cutting import cut
from imprint.corpus.decoding import decode, text_flaw
from imprint.corpus.documents import Corpus, Document
from imprint.errors import ConfigError, CorpusError
from imprint.types import Advance, no_progress

DOMAINS = (
    "python code",
    "docstrings",
    "c headers",
    "documentation",
    "data files",
    "package descriptions",
    "licences",
)
"""Natural domains looked for, in the order in which they are filled (equal text goes to the first)."""

_SUFFIXES = {
    "python code": (".py",),
    "c headers": (".h", ".hh", ".hpp", ".hxx", ".cuh", ".inl"),
    "documentation": (".html", ".htm", ".rst", ".md"),
    "data files": (".json", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml"),
}
_DESCRIPTIONS = ("metadata", "pkg-info")
_LICENCES = ("license", "licence", "copying", "notice", "copyright", "eula")
_SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages", "node_modules"}
_OWN, _EDITABLE = "imprint-", "__editable__"  # our own installed metadata changes with every edit of the README

_PIECE_BYTES = 2000
_SMALLEST_PIECE = 200
_FILE_BYTES = 400_000  # larger files are generated tables more often than text
_FILES_LISTED = 150_000
_FILES_READ = 4_000
_COUNTED_PER_FILE = 8_000  # one large file does not stand for a domain
_SURPLUS = 1.25  # gather this many times what was asked, then choose by content
_ENOUGH = 0.25  # a domain with less than this share of what was asked is dropped

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A cut of one file; `rank` is its place among that file's pieces: each file gives one before any gives two."""

    text: str
    digest: str
    rank: int
    source: str


def machine_roots() -> tuple[Path, ...]:
    """Folders that are searched: installed packages, standard library, C headers, system documentation, licences."""
    places = sysconfig.get_paths()
    named = [places[name] for name in ("purelib", "platlib", "stdlib", "include", "platinclude")]
    system = ["/usr/include", "/usr/share/doc", "/usr/share/common-licenses"]
    real = dict.fromkeys(os.path.realpath(place) for place in (*named, *system) if os.path.isdir(place))
    return tuple(Path(place) for place in real)


def collect_machine_text(
    *,
    bytes_per_domain: int,
    seed: int,
    roots: Sequence[Path] | None = None,
    required_domains: int = 5,
    progress: Advance = no_progress,
    warn: Callable[[str], None] = _log.warning,
) -> Corpus:
    """Corpus of about `bytes_per_domain` bytes in each of the `DOMAINS` that this machine fills, in pieces of <= 2 kB.

    Pieces are cut at natural boundaries and deduplicated by content over all domains; unreadable, binary and non-UTF-8
    files are passed over. A domain that stays below a quarter of what was asked is left out and `warn` is told why.
    `progress` advances by 1 for each of the `DOMAINS`.

    Trust: the same machine gives the same digest; another machine gives other text, so results across machines are
    replications and not repetitions.

    Raises:
        ConfigError: `bytes_per_domain` is below 1.
        CorpusError: fewer than `required_domains` domains could be filled; names the missing ones.
    """
    if bytes_per_domain < 1:
        raise ConfigError(f"bytes_per_domain={bytes_per_domain} must be positive.")
    candidates = _candidates(machine_roots() if roots is None else roots, seed)
    documents: list[Document] = []
    missing: list[str] = []
    seen: set[str] = set()
    for domain in DOMAINS:
        found = _fill(domain, candidates[domain], bytes_per_domain, seed, seen)
        size = sum(len(document.text.encode("utf-8")) for document in found)
        if size < _ENOUGH * bytes_per_domain:
            missing.append(f"{domain} ({size} of {bytes_per_domain} bytes)")
            warn(f"domain {domain!r} is left out: only {size} of {bytes_per_domain} bytes were found on this machine.")
        else:
            documents.extend(found)
        progress(1)
    filled = len(DOMAINS) - len(missing)
    if filled < required_domains:
        raise CorpusError(
            f"only {filled} of the {required_domains} natural domains needed were found here; too little of: "
            f"{', '.join(missing)}; ask for fewer bytes or give a corpus of your own."
        )
    return Corpus(documents=tuple(documents))


def _candidates(roots: Sequence[Path], seed: int) -> dict[str, list[Path]]:
    """Files of each domain in a fixed pseudo-random order of their paths below the roots."""
    ranked: dict[str, list[tuple[bytes, int, Path]]] = {domain: [] for domain in DOMAINS}
    for number, root in enumerate(roots):
        for path in islice(_listed(root), _FILES_LISTED):
            if (domain := _domain_of(path)) is not None:
                key = hashlib.sha256(f"{seed}:".encode() + os.fsencode(path.relative_to(root))).digest()
                ranked[domain].append((key, number, path))
    ranked["docstrings"] = ranked["python code"]
    return {domain: [path for _, _, path in sorted(files)] for domain, files in ranked.items()}


def _listed(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if _is_open(name))
        for name in sorted(names):
            if not name.startswith((".", _EDITABLE)):
                yield Path(folder, name)


def _is_open(folder: str) -> bool:
    return folder not in _SKIPPED_FOLDERS and not folder.startswith((".", _OWN))


def _domain_of(path: Path) -> str | None:
    name = path.name.lower()
    if name in _DESCRIPTIONS:
        return "package descriptions"
    if name.startswith(_LICENCES) or path.parent.name in ("licenses", "common-licenses"):
        return None if name.endswith((".py", ".gz")) else "licences"
    return next((domain for domain, suffixes in _SUFFIXES.items() if name.endswith(suffixes)), None)


def _fill(domain: str, files: Sequence[Path], size: int, seed: int, seen: set[str]) -> list[Document]:
    """Documents of one domain, about `size` bytes, none of which is in `seen`; `seen` takes them in."""
    chosen: list[_Piece] = []
    taken = 0
    for piece in sorted(_gathered(domain, files, size, seed, seen), key=lambda one: (one.rank, one.digest)):
        if taken >= size:
            break
        chosen.append(piece)
        taken += len(piece.text.encode("utf-8"))
    seen.update(piece.digest for piece in chosen)
    chosen.sort(key=lambda one: one.digest)
    return [
        Document(id=f"{domain}/{piece.digest[:16]}", text=piece.text, domain=domain, source=piece.source)
        for piece in chosen
    ]


def _gathered(domain: str, files: Sequence[Path], size: int, seed: int, seen: set[str]) -> list[_Piece]:
    """New pieces of the files in order, until there is a surplus to choose from or enough files were read."""
    new: dict[str, _Piece] = {}
    gathered = 0
    for path in files[:_FILES_READ]:
        if gathered >= _SURPLUS * size:
            break
        fresh = [piece for piece in _pieces(domain, path, seed) if piece.digest not in seen and piece.digest not in new]
        new.update((piece.digest, piece) for piece in fresh)
        gathered += min(sum(len(piece.text) for piece in fresh), _COUNTED_PER_FILE)
    return list(new.values())


def _pieces(domain: str, path: Path, seed: int) -> list[_Piece]:
    text = _text(domain, path)
    found = []
    for part in cut(text.replace("\r\n", "\n"), max_bytes=_PIECE_BYTES):
        if len(part) >= _SMALLEST_PIECE and text_flaw(part) is None:
            found.append((hashlib.sha256(f"{seed}:{part}".encode()).hexdigest(), part))
    source = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return [
        _Piece(text=part, digest=digest, rank=rank, source=source) for rank, (digest, part) in enumerate(sorted(found))
    ]


def _text(domain: str, path: Path) -> str:
    """The part of a file that belongs to `domain`; empty if there is none or the file cannot be read as text."""
    try:
        text = decode(_read(path), where=str(path))
    except (OSError, CorpusError):
        return ""
    if domain == "package descriptions":
        return text.partition("\n\n")[2]
    if domain in ("python code", "docstrings"):
        return _of_module(text, domain)
    return text


def _of_module(source: str, domain: str) -> str:
    """Half of the modules give their code, the others their docstrings, so that no text is in both domains."""
    gives_docstrings = hashlib.sha256(source.encode("utf-8")).digest()[0] % 2 == 1
    if gives_docstrings != (domain == "docstrings"):
        return ""
    return _docstrings(source) if gives_docstrings else source


def _read(path: Path) -> bytes:
    """Content of a regular file of moderate size; nothing of any other."""
    if not path.is_file() or path.stat().st_size > _FILE_BYTES:
        return b""
    return path.read_bytes()


def _docstrings(source: str) -> str:
    """Docstrings of a module, its classes and functions, in order; empty if the source does not parse."""
    if '"""' not in source:
        return ""  # parsing is slow, and few docstrings are written otherwise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ""
    return "\n\n".join(_documented(tree))


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    if text := ast.get_docstring(node):
        yield text
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(inner)
