"""JSON Lines walked so that every line is parsed, a listed problem or a counted blank."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from imprint.corpus.decoding import decode, open_bytes, text_flaw
from imprint.corpus.jsonl import excerpt
from imprint.errors import CorpusError

_SUFFIXES = (".gz", ".xz", ".jsonl", ".ndjson")


@runtime_checkable
class Named(Protocol):
    """What a line can hold: something with an id of its own, and the file and line it came from."""

    @property
    def id(self) -> str:
        """Its name, once in all files."""
        ...

    @property
    def source(self) -> str:
        """File and line."""
        ...


_One = TypeVar("_One", bound=Named)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatProblem:
    """A line that is not what its file should hold, and why."""

    file: str
    line: int
    reason: str

    @property
    def sentence(self) -> str:
        """Place and reason as one sentence."""
        return f"{self.file}:{self.line}: {self.reason.rstrip('.')}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """An object of a JSONL file, and where it stands."""

    record: dict[str, Any]
    file: str
    number: int
    domain_key: str | None

    @property
    def id(self) -> str:
        """The record's `id`, else `stem:line`; CorpusError for an id that names nothing."""
        given = self.record.get("id")
        if given is None:
            return f"{_stem(self.file)}:{self.number}"
        if isinstance(given, bool) or not isinstance(given, str | int) or text_flaw(str(given)) is not None:
            raise CorpusError(f"'id' is {excerpt(repr(given))}, which names nothing; use a word or a whole number")
        return str(given)

    @property
    def domain(self) -> str:
        """The value under the domain key, else the file's stem; CorpusError for a value that is no word."""
        if self.domain_key is None:
            return _stem(self.file)
        value = self.record.get(self.domain_key)
        if not isinstance(value, str) or text_flaw(value) is not None:
            raise CorpusError(f"the domain under {self.domain_key!r} is {excerpt(repr(value))}, not a word")
        return value

    @property
    def source(self) -> str:
        """File and line."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedLines(Generic[_One]):
    """What the lines of some files hold: `lines == len(found) + len(problems) + blank`."""

    found: tuple[_One, ...]
    problems: tuple[ChatProblem, ...]
    lines: int
    blank: int


def files_of(path: Path | str | Sequence[Path | str]) -> list[Path]:
    """One path or several as a list."""
    return [Path(path)] if isinstance(path, Path | str) else [Path(one) for one in path]


def parsed_lines(files: Sequence[Path], parse: Callable[[Line], _One], domain_key: str | None) -> ParsedLines[_One]:
    """Every line through `parse`; what it refuses, what is no JSON object and what repeats an id is a problem.

    Raises:
        CorpusError: a file that cannot be read.
    """
    found: dict[str, _One] = {}
    problems: list[ChatProblem] = []
    lines = blank = 0
    for file in files:
        for number, raw, offset in _raw_lines(file):
            lines += 1
            if not raw.strip():
                blank += 1
                continue
            try:
                record = _record(raw, offset)
                one = parse(Line(record=record, file=file.name, number=number, domain_key=domain_key))
                if one.id in found:
                    raise CorpusError(f"it repeats the id {excerpt(one.id)!r} of {found[one.id].source}")
                found[one.id] = one
            except CorpusError as error:
                problems.append(ChatProblem(file=file.name, line=number, reason=str(error)))
    return ParsedLines(found=tuple(found.values()), problems=tuple(problems), lines=lines, blank=blank)


def summary_of(counts: str, problems: Sequence[ChatProblem], shown: int) -> str:
    """A sentence of counts, then the first problems in full."""
    rest = len(problems) - shown
    more = [f"... and {rest} more."] if rest > 0 else []
    return " ".join([counts, *(problem.sentence for problem in problems[:shown]), *more])


def _raw_lines(file: Path) -> Iterator[tuple[int, bytes, int]]:
    """Lines as bytes with their numbers (from 1) and offsets: one that is not UTF-8 must not hide those after it."""
    with open_bytes(file) as stream:
        offset = 0
        for number, raw in enumerate(stream, start=1):
            yield number, raw, offset
            offset += len(raw)


def _record(raw: bytes, offset: int) -> dict[str, Any]:
    line = decode(raw, where="it", offset=offset).strip()
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"it is not valid JSON ({error}): {excerpt(line)}") from error
    if not isinstance(record, dict):
        raise CorpusError(f"it holds no JSON object: {excerpt(line)}")
    return record


def _stem(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name
