"""Preference pairs as two sets of padded rows of one width, with the mask of the labels of the two answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from transformers import PreTrainedTokenizerBase

from imprint.corpus.chat.preferences import PreferencePair
from imprint.corpus.chat.rendering import RenderedChat, render_chat
from imprint.corpus.chat.rows import ChatRows, padded, padding_of
from imprint.errors import ConfigError, CorpusError

_Rendered = tuple[RenderedChat, RenderedChat]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceRows:
    """Row i of `chosen` and row i of `rejected` share prompt, id and width; only the last answer is learnt.

    Raises:
        CorpusError: the rows do not come in pairs.
    """

    chosen: ChatRows
    rejected: ChatRows

    def __post_init__(self) -> None:
        """Refuse rows that do not pair up."""
        if self.chosen.ids != self.rejected.ids or self.chosen.tokens.shape != self.rejected.tokens.shape:
            raise CorpusError("chosen and rejected rows do not come in pairs of one width; render them together.")

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.chosen)

    @property
    def ids(self) -> tuple[str, ...]:
        """The pair of each row."""
        return self.chosen.ids

    @property
    def truncated(self) -> tuple[str, ...]:
        """Pairs of which an answer is cut at the context."""
        cut = {*self.chosen.truncated, *self.rejected.truncated}
        return tuple(name for name in self.ids if name in cut)

    @property
    def without_answer(self) -> tuple[str, ...]:
        """Pairs that have no row, because the prompt leaves no room for an answer."""
        return self.chosen.without_answer

    def save(self, folder: Path) -> None:
        """Write both sets of rows into `folder / "chosen"` and `folder / "rejected"`."""
        self.chosen.save(folder / "chosen")
        self.rejected.save(folder / "rejected")

    @classmethod
    def load(cls, folder: Path) -> "PreferenceRows":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        return cls(chosen=ChatRows.load(folder / "chosen"), rejected=ChatRows.load(folder / "rejected"))


def preference_rows(
    pairs: Iterable[PreferencePair], tokenizer: PreTrainedTokenizerBase, *, context: int
) -> PreferenceRows:
    """One row a pair in each set, cut at `context` labels and padded on the right to one width; see `render_chat`.

    Answers before the last belong to the prompt and carry no loss.

    Raises:
        ConfigError: `context` below 1, or a tokenizer that cannot render.
        CorpusError: no pair has room for its answers within the context.
    """
    if context < 1:
        raise ConfigError(f"context={context} holds no label; give at least 1.")
    rendered = {pair.id: _rendered(pair, tokenizer) for pair in pairs}
    kept = {name: pair for name, pair in rendered.items() if all(chat.loss[1 : context + 1].any() for chat in pair)}
    if not kept:
        raise CorpusError(
            f"in none of {len(rendered)} pairs does the prompt leave room for an answer within {context} tokens; raise"
            " context."
        )
    absent = tuple(name for name in rendered if name not in kept)
    both = padded([chat for place in (0, 1) for chat in _side(kept, place)], context, padding_of(tokenizer))
    chosen, rejected = (
        _rows(kept, place, context, absent, *(array[part] for array in both))
        for place, part in enumerate((slice(len(kept)), slice(len(kept), None)))
    )
    return PreferenceRows(chosen=chosen, rejected=rejected)


def _rendered(pair: PreferencePair, tokenizer: PreTrainedTokenizerBase) -> _Rendered:
    chosen, rejected = (render_chat(one, tokenizer) for one in (pair.chosen, pair.rejected))
    return _last_answer(chosen), _last_answer(rejected)


def _last_answer(chat: RenderedChat) -> RenderedChat:
    """The same tokens with loss on the last unbroken stretch only."""
    loss = np.zeros_like(chat.loss)
    learnt = np.flatnonzero(chat.loss)
    if len(learnt):
        breaks = np.flatnonzero(~chat.loss[: learnt[-1]])
        loss[breaks[-1] + 1 if len(breaks) else 0 : learnt[-1] + 1] = True
    return RenderedChat(tokens=chat.tokens, loss=loss)


def _side(kept: dict[str, _Rendered], place: int) -> Sequence[RenderedChat]:
    return [pair[place] for pair in kept.values()]


def _rows(
    kept: dict[str, _Rendered],
    place: int,
    context: int,
    absent: tuple[str, ...],
    tokens: np.ndarray,
    lengths: np.ndarray,
    label_mask: Bool[np.ndarray, "row seq"],
) -> ChatRows:
    return ChatRows(
        tokens=tokens,
        lengths=lengths,
        label_mask=label_mask,
        ids=tuple(kept),
        truncated=tuple(name for name, pair in kept.items() if len(pair[place].tokens) > context + 1),
        without_answer=absent,
    )
