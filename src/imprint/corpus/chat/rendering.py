"""A conversation as token ids, and which of them are answers: the prompt is shown but not trained on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Bool, Int
from jinja2 import TemplateError
from transformers import BatchEncoding, PreTrainedTokenizerBase

from imprint.corpus.chat.conversations import Conversation
from imprint.corpus.jsonl import excerpt
from imprint.errors import ConfigError, CorpusError

PLAIN_TEMPLATE = "<bos>System:\n{content}\n\nUser:\n{content}\n\nAssistant:\n{content}<eos>\n\nUser:\n..."
"""What a tokenizer without a chat template gets: BOS once, EOS after every answer, the system part only where there is one.

Prompt and answer are tokenised apart, so that no token lies across the border.
"""
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedChat:
    """Token ids of a conversation; `loss` is True for the tokens to be learnt: the answers and what ends each."""

    tokens: Int[np.ndarray, "token"]
    loss: Bool[np.ndarray, "token"]


def render_chat(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> RenderedChat:
    """Tokens by the tokenizer's own chat template, else by `PLAIN_TEMPLATE`; loss on assistant turns only.

    Where the template marks answers by `{% generation %}`, its marks hold. Elsewhere an answer is found by putting a
    stand-in into its place; a token belongs to the answer in which its first character lies, and the special token
    that follows an answer (end of turn) is learnt with it.

    Raises:
        ConfigError: the tokenizer gives no offsets, has no EOS (plain template), or the template hides an answer.
        CorpusError: the template refuses this conversation (no system role, for instance).

    Trust: a content that spells a control token ("<|im_end|>") becomes that token with most tokenizers; search for it.
    """
    if not tokenizer.chat_template:
        return _plain(conversation, tokenizer)
    if not tokenizer.is_fast:
        raise ConfigError(f"{type(tokenizer).__name__} gives no offsets; use a fast tokenizer (tokenizer.json).")
    template = tokenizer.get_chat_template()
    return _marked(conversation, tokenizer) if _GENERATION.search(template) else _located(conversation, tokenizer)


def _plain(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> RenderedChat:
    eos = tokenizer.eos_token_id
    if eos is None:
        raise ConfigError("the tokenizer has no EOS token to end an answer with; set eos_token on it.")
    tokens, loss = [eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id], [False]
    for answer, pieces in groupby(_pieces(conversation), key=lambda piece: piece[1]):
        ids = list(tokenizer("".join(text for text, _ in pieces), add_special_tokens=False)["input_ids"])
        ids += [eos] if answer else []
        tokens += ids
        loss += [answer] * len(ids)
    return RenderedChat(tokens=np.array(tokens, dtype=np.int64), loss=np.array(loss, dtype=bool))


def _pieces(conversation: Conversation) -> Iterator[tuple[str, bool]]:
    for number, message in enumerate(conversation.messages):
        yield ("\n\n" if number else "") + f"{message.role.capitalize()}:\n", False
        yield message.content, message.role == "assistant"


def _marked(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> RenderedChat:
    try:
        found = tokenizer.apply_chat_template(
            _turns(conversation), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
    except TemplateError as error:
        raise _refusal(conversation, error) from error
    assert isinstance(found, BatchEncoding), type(found)
    tokens, marks = np.array(found["input_ids"], dtype=np.int64), np.array(found["assistant_masks"], dtype=bool)
    return RenderedChat(tokens=tokens, loss=marks)


def _located(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> RenderedChat:
    turns = _turns(conversation)
    text = _text(turns, conversation, tokenizer)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    tokens = np.array(found["input_ids"], dtype=np.int64)
    first = np.array(found["offset_mapping"], dtype=np.int64).reshape(-1, 2)[:, 0]
    special = np.isin(tokens, _special_ids(tokenizer))
    loss = np.zeros(len(tokens), dtype=bool)
    for place, turn in enumerate(turns):
        if turn["role"] == "assistant":
            start, end = _span(place, turns, text, conversation, tokenizer)
            loss |= (first >= start) & (first < end)
            following = np.flatnonzero(first >= end)[:1]
            loss[following] |= special[following]
    return RenderedChat(tokens=tokens, loss=loss)


def _span(
    place: int,
    turns: list[dict[str, str]],
    text: str,
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[int, int]:
    """Where the answer of turn `place` stands in `text`: the stretch that changes when a stand-in takes its place."""
    stand_in = "ANSWER"
    while stand_in in text:
        stand_in += "X"
    changed = _text(
        [*turns[:place], turns[place] | {"content": stand_in}, *turns[place + 1 :]], conversation, tokenizer
    )
    before, found, after = changed.partition(stand_in)
    if not found or not text.startswith(before) or not text.endswith(after) or len(before + after) >= len(text):
        raise ConfigError(
            f"the chat template does not show turn {place + 1} of conversation {excerpt(conversation.id)!r} as it is, "
            "so its answer cannot be told from the prompt; mark answers by {% generation %} in the template."
        )
    return len(before), len(text) - len(after)


def _text(turns: list[dict[str, str]], conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> str:
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False))
    except TemplateError as error:
        raise _refusal(conversation, error) from error


def _refusal(conversation: Conversation, error: TemplateError) -> CorpusError:
    return CorpusError(f"the chat template refuses conversation {excerpt(conversation.id)!r} ({error}); change it.")


def _turns(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation.messages]


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    added = [number for number, token in tokenizer.added_tokens_decoder.items() if token.special]
    return sorted({*tokenizer.all_special_ids, *added})
