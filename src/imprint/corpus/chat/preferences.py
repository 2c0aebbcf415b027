"""Preference pairs from JSON Lines: one prompt, the answer that is preferred and the one that is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint.corpus.chat.conversations import Conversation, Message
from imprint.corpus.chat.lines import ChatProblem, Line, files_of, parsed_lines, summary_of
from imprint.corpus.chat.reading import side
from imprint.corpus.jsonl import excerpt
from imprint.errors import CorpusError

_KEYS = ("chosen", "rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """Two conversations with one id that differ in their last answer only.

    Raises:
        CorpusError: the prompts differ, or the answers do not.
    """

    chosen: Conversation
    rejected: Conversation

    def __post_init__(self) -> None:
        """Refuse a pair that shows more or less than which of two answers is preferred."""
        if self.chosen.messages[:-1] != self.rejected.messages[:-1]:
            raise CorpusError("its chosen and its rejected answer do not answer the same prompt")
        if self.chosen.messages == self.rejected.messages:
            raise CorpusError("its chosen and its rejected answer are the same, so there is nothing to prefer")

    @property
    def id(self) -> str:
        """The name that both share."""
        return self.chosen.id

    @property
    def domain(self) -> str:
        """The condition that the pair belongs to."""
        return self.chosen.domain

    @property
    def source(self) -> str:
        """File and line."""
        return self.chosen.source


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceReading:
    """All that the lines of the files hold: `lines == len(pairs) + len(problems) + blank`."""

    pairs: tuple[PreferencePair, ...]
    problems: tuple[ChatProblem, ...]
    """Every malformed pair, in the order of files and lines."""
    lines: int
    blank: int
    """Lines with nothing but white space."""

    def summary(self, *, shown: int = 5) -> str:
        """How many lines were what, and the first problems in full."""
        counts = f"{self.lines} lines: {len(self.pairs)} pairs, {len(self.problems)} malformed, {self.blank} blank."
        return summary_of(counts, self.problems, shown)


def read_preferences(
    path: Path | str | Sequence[Path | str], *, domain_key: str | None = None, strict: bool = False
) -> PreferenceReading:
    """Pairs of one or more JSONL files (also `.gz`, `.xz`), with every line that is none listed.

    A line is an object with `prompt`, `chosen` and `rejected`, each a string or a list of messages; an answer may repeat
    the prompt's messages, and without `prompt` both must be whole conversations. Ids and domains as `read_conversations`.

    Raises:
        CorpusError: a file that cannot be read, no pair at all, or (`strict`) any problem.
    """
    files = files_of(path)
    parsed = parsed_lines(files, _pair, domain_key)
    reading = PreferenceReading(pairs=parsed.found, problems=parsed.problems, lines=parsed.lines, blank=parsed.blank)
    named = ", ".join(str(file) for file in files) or "(no path)"
    if strict and reading.problems:
        raise CorpusError(f"{named} holds lines that are no pair. {reading.summary()} Correct or remove them.")
    if not reading.pairs:
        raise CorpusError(f"{named} holds no pair. {reading.summary()} Check the path and the keys.")
    return reading


def _pair(line: Line) -> PreferencePair:
    absent = [key for key in _KEYS if key not in line.record]
    if absent:
        seen = excerpt(", ".join(map(repr, line.record)) or "none")
        raise CorpusError(f"it has no {' and no '.join(map(repr, absent))} (keys seen: {seen})")
    chosen, rejected = (_conversation(line, key) for key in _KEYS)
    return PreferencePair(chosen=chosen, rejected=rejected)


def _conversation(line: Line, key: str) -> Conversation:
    prompt = side(line.record, "prompt", "user") if "prompt" in line.record else []
    try:
        return Conversation(
            id=line.id, messages=_whole(prompt, line.record, key), domain=line.domain, source=line.source
        )
    except CorpusError as error:
        raise CorpusError(f"with its {key} answer: {error}") from error


def _whole(prompt: list[Message], record: dict[str, Any], key: str) -> tuple[Message, ...]:
    answer = side(record, key, "assistant")
    if len(answer) > len(prompt) and answer[: len(prompt)] == prompt:
        prompt = []
    if not prompt and len(answer) == 1:
        raise CorpusError("there is no prompt; add 'prompt', or give whole conversations")
    return (*prompt, *answer)
