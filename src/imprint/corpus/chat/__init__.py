"""Chat corpora: conversations from JSON Lines, every line accounted for, and rows whose loss is on the answers only."""

from imprint.corpus.chat.conversations import ROLES, Conversation, Message, Role, conversations_as_corpus
from imprint.corpus.chat.reading import ChatProblem, ChatReading, read_conversations
from imprint.corpus.chat.rendering import PLAIN_TEMPLATE, RenderedChat, render_chat
from imprint.corpus.chat.rows import ChatRows, chat_rows
from imprint.corpus.chat.steps import ChatCorpus, RenderedChats

__all__ = [
    "PLAIN_TEMPLATE",
    "ROLES",
    "ChatCorpus",
    "ChatProblem",
    "ChatReading",
    "ChatRows",
    "Conversation",
    "Message",
    "RenderedChat",
    "RenderedChats",
    "Role",
    "chat_rows",
    "conversations_as_corpus",
    "read_conversations",
    "render_chat",
]
