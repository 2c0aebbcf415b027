"""Chat corpora: conversations from JSON Lines, every line accounted for, and rows whose loss is on the answers only."""

from imprint.corpus.chat.conversations import ROLES, Conversation, Message, Role, conversations_as_corpus
from imprint.corpus.chat.lines import ChatProblem
from imprint.corpus.chat.preference_rows import PreferenceRows, preference_rows
from imprint.corpus.chat.preferences import PreferencePair, PreferenceReading, read_preferences
from imprint.corpus.chat.reading import ChatReading, read_conversations
from imprint.corpus.chat.rendering import PLAIN_TEMPLATE, RenderedChat, render_chat
from imprint.corpus.chat.rows import ChatRows, chat_rows
from imprint.corpus.chat.steps import ChatCorpus, ConditionCorpora, EvaluationItems, RenderedChats, RenderedPreferences

__all__ = [
    "PLAIN_TEMPLATE",
    "ROLES",
    "ChatCorpus",
    "ChatProblem",
    "ChatReading",
    "ChatRows",
    "ConditionCorpora",
    "Conversation",
    "EvaluationItems",
    "Message",
    "PreferencePair",
    "PreferenceReading",
    "PreferenceRows",
    "RenderedChat",
    "RenderedChats",
    "RenderedPreferences",
    "Role",
    "chat_rows",
    "conversations_as_corpus",
    "preference_rows",
    "read_conversations",
    "read_preferences",
    "render_chat",
]
