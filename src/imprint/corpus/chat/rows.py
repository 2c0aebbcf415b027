"""Conversations as padded rows for a causal model, one a row, with the mask of the labels that are learnt."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from transformers import PreTrainedTokenizerBase

from imprint.corpus.chat.conversations import Conversation
from imprint.corpus.chat.rendering import RenderedChat, render_chat
from imprint.errors import ConfigError, CorpusError
from imprint.runs.files import read_json, write_json, writing

_ARRAYS = {"tokens": np.int64, "lengths": np.int64, "label_mask": np.bool_}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRows:
    """Rows ready for a causal model: inputs are `tokens[:, :-1]`, labels `tokens[:, 1:]`, learnt where `label_mask`."""

    tokens: Int[np.ndarray, "row seq_plus_1"]
    lengths: Int[np.ndarray, "row"]
    """Labels of a row before its padding (tokens less one)."""
    label_mask: Bool[np.ndarray, "row seq"]
    """True where `tokens[:, 1:]` belongs to an answer (or ends it); never for prompt and padding."""
    ids: tuple[str, ...]
    """The conversation of each row."""
    truncated: tuple[str, ...]
    """Conversations cut at the context."""
    without_answer: tuple[str, ...]
    """Conversations that have no row, because the context ends before their first answer."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    def save(self, folder: Path) -> None:
        """Write three `.npy` files and `chat_rows.json` into `folder` (made if absent)."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
            named = {name: list(getattr(self, name)) for name in ("ids", "truncated", "without_answer")}
            write_json(folder / "chat_rows.json", named)

    @classmethod
    def load(cls, folder: Path) -> "ChatRows":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        try:
            arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
            named = read_json(folder / "chat_rows.json")
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(f"{folder} does not hold complete chat rows ({error}); render them again.") from error
        lists: dict[str, Any] = {name: tuple(values) for name, values in named.items()}
        return cls(**arrays, **lists)


def chat_rows(conversations: Iterable[Conversation], tokenizer: PreTrainedTokenizerBase, *, context: int) -> ChatRows:
    """One row a conversation, cut at `context` labels and padded on the right; see `render_chat` for the mask.

    Raises:
        ConfigError: `context` below 1, or a tokenizer that cannot render.
        CorpusError: no conversation has an answer within the context.
    """
    if context < 1:
        raise ConfigError(f"context={context} holds no label; give at least 1.")
    rendered = {one.id: render_chat(one, tokenizer) for one in conversations}
    kept = {name: chat for name, chat in rendered.items() if chat.loss[1 : context + 1].any()}
    if not kept:
        raise CorpusError(
            f"none of {len(rendered)} conversations has an answer within {context} tokens; raise context."
        )
    tokens, lengths, label_mask = padded(list(kept.values()), context, padding_of(tokenizer))
    return ChatRows(
        tokens=tokens,
        lengths=lengths,
        label_mask=label_mask,
        ids=tuple(kept),
        truncated=tuple(name for name, chat in kept.items() if len(chat.tokens) > context + 1),
        without_answer=tuple(name for name in rendered if name not in kept),
    )


def padded(
    chats: list[RenderedChat], context: int, padding: int
) -> tuple[Int[np.ndarray, "row seq_plus_1"], Int[np.ndarray, "row"], Bool[np.ndarray, "row seq"]]:
    """Tokens cut at `context` labels and padded, the labels of each row, and which of them are learnt."""
    width = min(context + 1, max(len(chat.tokens) for chat in chats))
    tokens = np.full((len(chats), width), padding, dtype=np.int64)
    loss = np.zeros((len(chats), width), dtype=bool)
    for row, chat in enumerate(chats):
        size = min(width, len(chat.tokens))
        tokens[row, :size], loss[row, :size] = chat.tokens[:size], chat.loss[:size]
    lengths = np.array([min(width, len(chat.tokens)) - 1 for chat in chats], dtype=np.int64)
    return tokens, lengths, loss[:, 1:]


def padding_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills rows up: PAD, else EOS, BOS or 0."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
    return int(next((token for token in known if token is not None), 0))
