"""Text pairs as token ids, cut where lm-eval's own Hugging Face model cuts them, each text tokenised once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from imprint.errors import ModelError
from imprint.models.families import Objective


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """How probable is `continuation` after `context`? All in token ids; `suffix` follows both (BERT's [SEP])."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    suffix: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """A tokenizer, how its model reads (causal, masked, seq2seq) and how long a sequence may be (None = any length)."""

    tokenizer: PreTrainedTokenizerBase
    objective: Objective
    max_length: int | None

    def pairs(self, texts: Sequence[tuple[str, str]]) -> tuple[list[Request], int]:
        """A request for each (context, continuation), and how many were cut to the model's context from the left.

        Spaces that end a context belong to the continuation; an empty context becomes the BOS (or EOS) token.

        Raises:
            ModelError: the tokenizer has neither BOS nor EOS for an empty context, or gives a continuation no token.
        """
        moved = [_spaces_moved(context, continuation) for context, continuation in texts]
        ids = self._ids({text for pair in moved for text in self._needed(*pair)})
        requests = [self._request(context, continuation, ids) for context, continuation in moved]
        cut = [self._cut(request) for request in requests]
        return cut, sum(before != after for before, after in zip(requests, cut, strict=True))

    def rolling(self, text: str) -> list[Request]:
        """The whole text as windows without overlap of what is predicted: each token once, at most `max_length` seen."""
        tokens = self._tokens([text], special=False)[0]
        limit = min(self.max_length or len(tokens), len(tokens))
        return list(_windows(tokens, self.prefix_token, limit)) if tokens else []

    @property
    def prefix_token(self) -> int:
        """The token that stands for an empty context."""
        tokenizer = self.tokenizer
        found = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        found = tokenizer.cls_token_id if found is None else found
        found = tokenizer.pad_token_id if found is None else found
        if found is None:
            raise ModelError("The tokenizer has no BOS, EOS, CLS or pad token to begin an empty context with.")
        return int(found)

    def _needed(self, context: str, continuation: str) -> Iterator[tuple[str, bool]]:
        """The texts (and whether special tokens are added) whose ids make a request."""
        special = self.objective != "masked"
        if not context:
            yield continuation, False
        elif self.objective == "seq2seq":
            yield from ((context, True), (continuation, False))
        else:
            yield from ((context, special), (context + continuation, special))

    def _ids(self, texts: set[tuple[str, bool]]) -> dict[tuple[str, bool], tuple[int, ...]]:
        found: dict[tuple[str, bool], tuple[int, ...]] = {}
        for special in (False, True):
            group = sorted(text for text, wants in texts if wants == special)
            found |= zip(((text, special) for text in group), self._tokens(group, special=special), strict=True)
        return found

    def _tokens(self, texts: list[str], *, special: bool) -> list[tuple[int, ...]]:
        if not texts:
            return []
        tokenizer: Any = self.tokenizer
        encoded = tokenizer(texts, add_special_tokens=special, return_attention_mask=False, verbose=False)
        return [tuple(ids) for ids in encoded["input_ids"]]

    def _request(self, context: str, continuation: str, ids: dict[tuple[str, bool], tuple[int, ...]]) -> Request:
        special = self.objective != "masked"
        if self.objective == "seq2seq":
            before = ids[context, True] if context else (self.prefix_token,)
            return _request_of(before, ids[continuation, False], (), continuation)
        if not context:
            before, after = (), ids[continuation, False]
        else:
            before = ids[context, special]
            after = ids[context + continuation, special][len(before) :]
        if self.objective == "masked":
            return _request_of((*self._opening, *before), after, self._closing, continuation)
        if before:
            return _request_of(before, after, (), continuation)
        start = self.prefix_token
        split = (after[:1], after[1:]) if after[:1] == (start,) else ((start,), after)
        return _request_of(*split, (), continuation)

    @property
    def _opening(self) -> tuple[int, ...]:
        return () if self.tokenizer.cls_token_id is None else (int(self.tokenizer.cls_token_id),)

    @property
    def _closing(self) -> tuple[int, ...]:
        return () if self.tokenizer.sep_token_id is None else (int(self.tokenizer.sep_token_id),)

    def _cut(self, request: Request) -> Request:
        """The same request within the context: the oldest tokens go first, then the first of the continuation."""
        if self.max_length is None or self.objective == "seq2seq":
            return request
        room = self.max_length + 1 if self.objective == "causal" else self.max_length - len(request.suffix)
        whole = request.context + request.continuation
        if len(whole) <= room:
            return request
        head = request.context[: int(self.objective == "masked")]
        kept = head + whole[len(whole) - room + len(head) :]
        scored = min(len(request.continuation), len(kept) - 1)
        split = len(kept) - scored
        return Request(context=kept[:split], continuation=kept[split:], suffix=request.suffix)


def _request_of(context: tuple[int, ...], after: tuple[int, ...], suffix: tuple[int, ...], text: str) -> Request:
    if not after:
        raise ModelError(f"The tokenizer gives no token of its own to the answer {text!r}, so it cannot be scored.")
    return Request(context=context, continuation=after, suffix=suffix)


def _spaces_moved(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return (kept, context[len(kept) :] + continuation) if kept else (context, continuation)


def _windows(tokens: tuple[int, ...], prefix: int, limit: int) -> Iterator[Request]:
    """lm-eval's rolling windows with a context of one token, made disjoint."""
    yield Request(context=(prefix,), continuation=tokens[:limit])
    for start in range(limit, len(tokens), limit):
        end = min(start + limit, len(tokens))
        yield Request(context=tokens[max(end - limit - 1, 0) : start], continuation=tokens[start:end])
