"""Conversations: messages with roles, in an order that a chat model can be trained on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from imprint.corpus.decoding import text_flaw
from imprint.corpus.documents import Corpus, Document
from imprint.corpus.jsonl import excerpt
from imprint.errors import CorpusError

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What one side says.

    Raises:
        CorpusError: the role is not one of `ROLES`; the content is empty or holds NUL or a lone surrogate.
    """

    role: Role
    content: str

    def __post_init__(self) -> None:
        """Refuse a role that no stage trains and a content that cannot be trained on."""
        if (flaw := text_flaw(self.content)) is not None:
            raise CorpusError(f"the {self.role} message {flaw}; fill or remove it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """An optional system message, then user and assistant in turn, ending with the assistant.

    `domain` is the condition that the conversation belongs to; `source` (provenance only) is the file and the line.

    Raises:
        CorpusError: no message, a system message that is not the first, two turns of one side, or no answer at the end.
    """

    id: str
    messages: tuple[Message, ...]
    domain: str
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse an order of turns in which it would be unclear what answers what."""
        if not self.messages:
            raise CorpusError("it has no message; fill or remove it")
        first = 1 if self.messages[0].role == "system" else 0
        for number, message in enumerate(self.messages[first:]):
            expected = ("user", "assistant")[number % 2]
            if message.role != expected:
                place = first + number + 1
                raise CorpusError(
                    f"message {place} is the {message.role}'s where the {expected}'s turn is due; user and assistant "
                    "take turns after at most one system message"
                )
        if self.messages[-1].role != "assistant":
            raise CorpusError(f"it ends with the {self.messages[-1].role}'s message, which nothing answers; remove it")

    def text(self, roles: Iterable[Role] = ROLES) -> str:
        """Contents of the messages of these roles, a blank line between two; no role names, no markers."""
        wanted = set(roles)
        return "\n\n".join(message.content for message in self.messages if message.role in wanted)


def conversations_as_corpus(conversations: Iterable[Conversation], *, roles: Iterable[Role] = ROLES) -> Corpus:
    """One document a conversation (same id, same domain): what `imprint.corpus.comparison` compares.

    Raises:
        CorpusError: ids repeat, or a conversation has no message of these roles.
    """
    wanted = tuple(roles)
    documents = []
    for one in conversations:
        text = one.text(wanted)
        if not text:
            raise CorpusError(f"conversation {excerpt(one.id)!r} has no message of {', '.join(wanted)}; add roles.")
        documents.append(Document(id=one.id, text=text, domain=one.domain, source=one.source))
    return Corpus(documents=tuple(documents))
