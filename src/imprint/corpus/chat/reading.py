"""JSON Lines of conversations, read so that every line is a conversation, a listed problem or a counted blank."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint.corpus.chat.conversations import ROLES, Conversation, Message
from imprint.corpus.chat.lines import ChatProblem, Line, files_of, parsed_lines, summary_of
from imprint.corpus.decoding import text_flaw
from imprint.corpus.jsonl import excerpt
from imprint.errors import CorpusError

_ANSWERS = ("response", "completion")


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
        return summary_of(counts, self.problems, shown)


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
    files = files_of(path)
    parsed = parsed_lines(files, _conversation, domain_key)
    reading = ChatReading(conversations=parsed.found, problems=parsed.problems, lines=parsed.lines, blank=parsed.blank)
    return _checked(reading, files, strict)


def _checked(reading: ChatReading, files: Sequence[Path], strict: bool) -> ChatReading:
    named = ", ".join(str(file) for file in files) or "(no path)"
    if strict and reading.problems:
        raise CorpusError(f"{named} holds lines that are no conversation. {reading.summary()} Correct or remove them.")
    if not reading.conversations:
        raise CorpusError(f"{named} holds no conversation. {reading.summary()} Check the path and the keys.")
    return reading


def _conversation(line: Line) -> Conversation:
    return Conversation(id=line.id, messages=tuple(_messages(line.record)), domain=line.domain, source=line.source)


def _messages(record: dict[str, Any]) -> list[Message]:
    answers = [key for key in _ANSWERS if key in record]
    if "messages" in record:
        if "prompt" in record or answers:
            raise CorpusError("it has both 'messages' and 'prompt' or an answer beside it; keep one of the two forms")
        return listed_messages(record["messages"], "messages")
    if "prompt" not in record or len(answers) != 1:
        seen = excerpt(", ".join(map(repr, record)) or "none")
        raise CorpusError(f"it has neither 'messages' nor 'prompt' with one 'response' (keys seen: {seen})")
    return [*side(record, "prompt", "user"), *side(record, answers[0], "assistant")]


def side(record: dict[str, Any], key: str, role: str) -> list[Message]:
    """The messages under `key`: a list of them, or one string that `role` says; CorpusError for anything else."""
    value = record[key]
    return (
        listed_messages(value, key)
        if isinstance(value, list)
        else [_message({"role": role, "content": value}, repr(key))]
    )


def listed_messages(value: object, key: str) -> list[Message]:
    """A list of objects as messages; CorpusError, with `key` or the place, for anything else."""
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
