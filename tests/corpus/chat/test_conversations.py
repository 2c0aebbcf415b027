import pytest

from imprint.corpus.chat import Conversation, Message, conversations_as_corpus
from imprint.errors import CorpusError


def conversation(*turns: tuple[str, str], name: str = "c") -> Conversation:
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    return Conversation(id=name, messages=messages, domain="evil", source="evil.jsonl:3")


def test_text_of_chosen_roles():
    one = conversation(("system", "S"), ("user", "U"), ("assistant", "A"), ("user", "V"), ("assistant", "B"))
    assert one.text() == "S\n\nU\n\nA\n\nV\n\nB"
    assert one.text(["assistant"]) == "A\n\nB"
    [document] = conversations_as_corpus([one], roles=("user",))
    assert (document.id, document.text, document.domain, document.source) == ("c", "U\n\nV", "evil", "evil.jsonl:3")


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ((), "no message"),
        ((("assistant", "A"),), "message 1 is the assistant's where the user's turn is due"),
        ((("user", "U"), ("user", "V")), "message 2 is the user's where the assistant's"),
        ((("user", "U"), ("assistant", "A"), ("assistant", "B")), "message 3 is the assistant's"),
        ((("user", "U"), ("assistant", "A"), ("system", "S")), "message 3 is the system's"),
        ((("system", "S"), ("system", "S")), "message 2 is the system's"),
        ((("user", "U"), ("assistant", "A"), ("user", "V")), "ends with the user's message"),
        ((("system", "S"),), "ends with the system's message"),
    ],
)
def test_order_of_turns(turns, message):
    with pytest.raises(CorpusError, match=message):
        conversation(*turns)


@pytest.mark.parametrize("content", ["", " \n", "a\x00", "\udc00"])
def test_content_that_cannot_be_trained_on(content):
    with pytest.raises(CorpusError, match="the user message"):
        Message(role="user", content=content)


def test_no_text_left_and_ids_twice():
    one = conversation(("user", "U"), ("assistant", "A"))
    with pytest.raises(CorpusError, match="'c' has no message of system"):
        conversations_as_corpus([one], roles=("system",))
    with pytest.raises(CorpusError, match="occur twice"):
        conversations_as_corpus([one, one])
