"""What a checkpoint does with fixed conversations: one state a conversation and site, entropy and loss of its answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.corpus.chat import RenderedChat
from imprint.errors import ConfigError, CorpusError, ModelError
from imprint.mechanisms.checkpoints.outputs import entropies_and_losses
from imprint.models import Anatomy, check_context, evaluating, reading, record
from imprint.types import Advance, no_progress

Position = Literal["answer", "prompt_end"]
"""Where a conversation's state is read: the mean over its answer tokens (what ends them included), or the last token
before its last answer, from which that answer's first token is predicted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptReadings:
    """One row a conversation, in their order."""

    states: Mapping[str, Float[np.ndarray, "prompt _"]]
    """By site, in double precision."""
    entropy: Float[np.ndarray, "prompt"]
    """Mean entropy of the model's distribution over the next token, at the answer tokens, in nats."""
    loss: Float[np.ndarray, "prompt"]
    """Mean negative log-likelihood of the answer tokens, in nats."""
    answer_tokens: Int[np.ndarray, "prompt"]


@torch.no_grad()
def read_prompts(
    model: PreTrainedModel,
    conversations: Sequence[RenderedChat],
    sites: Sequence[str],
    *,
    position: Position = "answer",
    batch: int = 8,
    advance: Advance = no_progress,
) -> PromptReadings:
    """States, entropies and losses of a causal model on conversations, in one forward pass a batch.

    Logits are made at the answer tokens only. `advance` counts conversations.

    Raises:
        ComponentNotFound: a site that the model does not have.
        ConfigError: no site.
        ContextTooLong: a conversation longer than the model's context.
        CorpusError: no conversation, or one without an answer.
        ModelError: a model that is not causal.

    Trust: the answers are given, not generated, so this measures what a checkpoint makes of them; all checkpoints must
    be read on the same token ids, so they need the same tokenizer.
    """
    _check(model, conversations, sites)
    states: dict[str, list[np.ndarray]] = {site: [] for site in sites}
    entropies, losses, counts = [], [], []
    with evaluating(model):
        for start in range(0, len(conversations), batch):
            chats = conversations[start : start + batch]
            ids, real, learnt = _padded(chats)
            rows, places = np.nonzero(learnt)
            with (
                record(model, sites) as found,
                reading(model, torch.from_numpy(rows), torch.from_numpy(places - 1)),
            ):
                logits = model(
                    input_ids=torch.from_numpy(ids).to(model.device),
                    attention_mask=torch.from_numpy(real.astype(np.int64)).to(model.device),
                    use_cache=False,
                ).logits[0]
            entropy, loss = entropies_and_losses(logits, torch.from_numpy(ids[rows, places]))
            number = np.bincount(rows, minlength=len(chats))
            entropies.append(np.bincount(rows, entropy, len(chats)) / number)
            losses.append(np.bincount(rows, loss, len(chats)) / number)
            counts.append(number)
            weights = torch.from_numpy(_weights(learnt, position))
            for site in sites:
                states[site].append(_pooled(found[site], weights))
            advance(len(chats))
    return PromptReadings(
        states={site: np.concatenate(parts) for site, parts in states.items()},
        entropy=np.concatenate(entropies),
        loss=np.concatenate(losses),
        answer_tokens=np.concatenate(counts),
    )


def _pooled(states: Float[Tensor, "row seq d"], weights: Float[Tensor, "row seq"]) -> Float[np.ndarray, "row d"]:
    pooled = torch.einsum("bsd,bs->bd", states.double().cpu(), weights)
    return np.asarray(pooled.numpy())


def _padded(
    chats: Sequence[RenderedChat],
) -> tuple[Int[np.ndarray, "row seq"], Bool[np.ndarray, "row seq"], Bool[np.ndarray, "row seq"]]:
    """Token ids, which of them are real, and which are learnt (the first token is predicted from nothing)."""
    longest = max(len(chat.tokens) for chat in chats)
    ids = np.zeros((len(chats), longest), dtype=np.int64)
    real, learnt = np.zeros(ids.shape, dtype=bool), np.zeros(ids.shape, dtype=bool)
    for row, chat in enumerate(chats):
        size = len(chat.tokens)
        ids[row, :size], real[row, :size], learnt[row, 1:size] = chat.tokens, True, chat.loss[1:]
    return ids, real, learnt


def _weights(learnt: Bool[np.ndarray, "row seq"], position: Position) -> Float[np.ndarray, "row seq"]:
    if position == "answer":
        return np.asarray(learnt / learnt.sum(1, keepdims=True))
    begins = learnt.copy()
    begins[:, 1:] &= ~learnt[:, :-1]
    last = learnt.shape[1] - 1 - begins[:, ::-1].argmax(1)
    weights = np.zeros(learnt.shape)
    weights[np.arange(len(learnt)), last - 1] = 1.0
    return weights


def _check(model: PreTrainedModel, conversations: Sequence[RenderedChat], sites: Sequence[str]) -> None:
    if not sites:
        raise ConfigError("no site to read was named: give at least one, for example L3.resid_post")
    if Anatomy(model).family.objective != "causal":
        raise ModelError(
            f"{type(model).__name__} is not a causal model, and conversations are read by causal ones only"
        )
    if not conversations:
        raise CorpusError("there is no conversation to read: the set is empty")
    empty = [number for number, chat in enumerate(conversations) if not chat.loss[1:].any()]
    if empty:
        raise CorpusError(f"conversation {empty[0] + 1} has no answer token, so nothing can be read of it; remove it")
    check_context(model, max(len(chat.tokens) for chat in conversations))
