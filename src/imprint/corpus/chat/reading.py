"""JSON Lines of conversations, read so that every line is a conversation, a listed problem or a counted blank."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint.corpus.chat.conversations import ROLES, Conversation, Message
from imprint.corpus.decoding import decode, open_bytes, text_flaw
from imprint.corpus.jsonl import excerpt
from imprint.errors import CorpusError

_ANSWERS = ("response", "completion")
_SUFFIXES = (".gz", ".xz", ".jsonl", ".ndjson")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatProblem:
    """A line that is no conversation, and why."""

    file: str
    line: int
    reason: str

    @property
    def sentence(self) -> str:
        """Place and reason as one sentence."""
        return f"{self.file}:{self.line}: {self.reason.rstrip('.')}."


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatReading:
    """All that the lines of the files hold: `lines == len(conversations) + len(problems) + blank`."""

    conversations: tuple[Conversation, ...]
    problems: tuple[ChatProblem, ...]
    """Every malformed or empty conversation, in the order of files and lines."""
    lines: int
    blank: int
    """Lines with nothing but white space."""

    def summary(self, *, shown: int = 5) -> str:
        """How many lines were what, and the first problems in full."""
        counts = (
            f"{self.lines} lines: {len(self.conversations)} conversations, {len(self.problems)} malformed or empty, "
            f"{self.blank} blank."
        )
        rest = len(self.problems) - shown
        return " ".join(
            [
                counts,
                *(problem.sentence for problem in self.problems[:shown]),
                *([f"... and {rest} more."] if rest > 0 else []),
            ]
        )


def read_conversations(
    path: Path | str | Sequence[Path | str], *, domain_key: str | None = None, strict: bool = False
) -> ChatReading:
    """Conversations of one or more JSONL files (also `.gz`, `.xz`), with every line that is none listed.

    A line is an object with `messages` (a list of `role` and `content`) or with `prompt` and `response` (or
    `completion`), each a string or a list of messages; other keys are ignored. The domain is the value under
    `domain_key`, else the file's stem; the id is the record's `id`, else `stem:line`. A repeated id is a problem too.

    Raises:
        CorpusError: a file that cannot be read, no conversation at all, or (`strict`) any problem.
    """
    files = [Path(path)] if isinstance(path, Path | str) else [Path(one) for one in path]
    conversations: dict[str, Conversation] = {}
    problems: list[ChatProblem] = []
    lines = blank = 0
    for file in files:
        for number, raw, offset in _raw_lines(file):
            lines += 1
            if not raw.strip():
                blank += 1
                continue
            try:
                found = _parsed(raw, offset, file, number, domain_key)
                if found.id in conversations:
                    raise CorpusError(f"it repeats the id {excerpt(found.id)!r} of {conversations[found.id].source}")
                conversations[found.id] = found
            except CorpusError as error:
                problems.append(ChatProblem(file=file.name, line=number, reason=str(error)))
    reading = ChatReading(
        conversations=tuple(conversations.values()), problems=tuple(problems), lines=lines, blank=blank
    )
    return _checked(reading, files, strict)


def _checked(reading: ChatReading, files: Sequence[Path], strict: bool) -> ChatReading:
    named = ", ".join(str(file) for file in files) or "(no path)"
    if strict and reading.problems:
        raise CorpusError(f"{named} holds lines that are no conversation. {reading.summary()} Correct or remove them.")
    if not reading.conversations:
        raise CorpusError(f"{named} holds no conversation. {reading.summary()} Check the path and the keys.")
    return reading


def _raw_lines(file: Path) -> Iterator[tuple[int, bytes, int]]:
    """Lines as bytes with their numbers (from 1) and offsets: one that is not UTF-8 must not hide those after it."""
    with open_bytes(file) as stream:
        offset = 0
        for number, raw in enumerate(stream, start=1):
            yield number, raw, offset
            offset += len(raw)


def _parsed(raw: bytes, offset: int, file: Path, number: int, domain_key: str | None) -> Conversation:
    line = decode(raw, where="it", offset=offset).strip()
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"it is not valid JSON ({error}): {excerpt(line)}") from error
    if not isinstance(record, dict):
        raise CorpusError(f"it holds no JSON object: {excerpt(line)}")
    stem = _stem(file.name)
    return Conversation(
        id=_name(record.get("id"), f"{stem}:{number}"),
        messages=tuple(_messages(record)),
        domain=stem if domain_key is None else _text(record, domain_key),
        source=f"{file.name}:{number}",
    )


def _messages(record: dict[str, Any]) -> list[Message]:
    answers = [key for key in _ANSWERS if key in record]
    if "messages" in record:
        if "prompt" in record or answers:
            raise CorpusError("it has both 'messages' and 'prompt' or an answer beside it; keep one of the two forms")
        return _listed(record["messages"], "messages")
    if "prompt" not in record or len(answers) != 1:
        seen = excerpt(", ".join(map(repr, record)) or "none")
        raise CorpusError(f"it has neither 'messages' nor 'prompt' with one 'response' (keys seen: {seen})")
    return [*_side(record, "prompt", "user"), *_side(record, answers[0], "assistant")]


def _side(record: dict[str, Any], key: str, role: str) -> list[Message]:
    value = record[key]
    return _listed(value, key) if isinstance(value, list) else [_message({"role": role, "content": value}, repr(key))]


def _listed(value: object, key: str) -> list[Message]:
    if not isinstance(value, list):
        raise CorpusError(f"{key!r} is not a list of messages")
    return [_message(one, f"message {place}") for place, one in enumerate(value, start=1)]


def _message(value: object, place: str) -> Message:
    if not isinstance(value, dict):
        raise CorpusError(f"{place} is no object with 'role' and 'content'")
    role, content = value.get("role"), value.get("content")
    if role not in ROLES:
        raise CorpusError(f"{place} has the role {excerpt(repr(role))}; the roles are {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise CorpusError(f"{place} has no text as its 'content'; only text can be trained on")
    if (flaw := text_flaw(content)) is not None:
        raise CorpusError(f"{place} ({role}) {flaw}; fill or remove it")
    return Message(role=role, content=content)


def _name(given: object, default: str) -> str:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, str | int) or text_flaw(str(given)) is not None:
        raise CorpusError(f"'id' is {excerpt(repr(given))}, which names nothing; use a word or a whole number")
    return str(given)


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or text_flaw(value) is not None:
        raise CorpusError(f"the domain under {key!r} is {excerpt(repr(value))}, not a word")
    return value


def _stem(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name
