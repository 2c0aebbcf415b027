"""Continuations of prompts, greedy or sampled, in batches with a KV cache, also while interventions act."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList

from imprint.errors import ConfigError, ContextTooLong, ModelError
from imprint.interventions.activations import Intervention, intervene
from imprint.models import evaluating, family_of
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """How a text is continued. `temperature` 0 = greedy; `until` = texts that end a continuation and are cut off."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    until: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse lengths and temperatures that mean nothing."""
        if self.max_new_tokens < 1 or self.temperature < 0:
            raise ConfigError(
                f"max_new_tokens={self.max_new_tokens} must be at least 1 and temperature={self.temperature} at least 0."
            )


def continuations(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    decoding: Decoding,
    *,
    interventions: Sequence[Intervention] = (),
    seed: int = 0,
    batch: int = 8,
    advance: Advance = no_progress,
) -> list[str]:
    """The continuation of each prompt, without the prompt and without what follows a stop text.

    Prompts of similar length share a batch, padded on the left; row ids of token masks are places in `prompts`. Sampling
    draws from `seed` and the batches alone. A prompt that leaves no room for new tokens loses its beginning.

    Raises:
        ModelError: a masked model, which cannot continue text.
        ContextTooLong: the new tokens alone do not fit into the context.
    """
    family = family_of(model.config.model_type)
    if family.objective == "masked":
        raise ModelError(f"A {model.config.model_type} model fills in blanks and cannot continue a text; leave it out.")
    room = _room(family.context(model.config), decoding.max_new_tokens) if family.objective == "causal" else None
    ids = [_prompt_ids(tokenizer, prompt, room) for prompt in prompts]
    order = sorted(range(len(ids)), key=lambda place: (-len(ids[place]), place))
    found: dict[int, str] = {}
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(enabled=decoding.temperature > 0):
        if decoding.temperature > 0:
            torch.manual_seed(seed)  # inside fork_rng: the caller's random state is given back
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            texts = _continued(model, tokenizer, [ids[row] for row in rows], rows, decoding, interventions)
            found |= zip(rows, texts, strict=True)
            advance(len(rows))
    return [found[place] for place in range(len(prompts))]


def _room(context: int | None, new: int) -> int | None:
    if context is not None and new >= context:
        raise ContextTooLong(f"{new} new tokens leave no room for a prompt in a context of {context}; ask for fewer.")
    return None if context is None else context - new


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str, room: int | None) -> list[int]:
    ids: list[int] = list(tokenizer(prompt, verbose=False)["input_ids"])
    if not ids:
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        ids = [0 if start is None else int(start)]
    return ids if room is None else ids[-room:]


def _continued(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[list[int]],
    rows: Sequence[int],
    decoding: Decoding,
    interventions: Sequence[Intervention],
) -> list[str]:
    tokens, mask = _left_padded(ids, model.device)
    start = 0 if model.config.is_encoder_decoder else tokens.shape[1]
    stop = StoppingCriteriaList([_StopTexts(tokenizer, decoding.until, start)] if decoding.until else [])
    acting = intervene(model, list(interventions), rows=torch.tensor(rows)) if interventions else nullcontext()
    generator: Any = model
    with acting:
        made = generator.generate(
            input_ids=tokens,
            attention_mask=mask,
            max_new_tokens=decoding.max_new_tokens,
            stopping_criteria=stop,
            pad_token_id=_padding(tokenizer),
            **_sampling(decoding),
        )
    texts = tokenizer.batch_decode(made[:, start:], skip_special_tokens=True)
    return [_cut(text, decoding.until) for text in texts]


def _sampling(decoding: Decoding) -> Mapping[str, Any]:
    if decoding.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": decoding.temperature, "top_p": 1.0, "top_k": 0}


def _padding(tokenizer: PreTrainedTokenizerBase) -> int:
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(int(token) for token in known if token is not None)


def _left_padded(
    ids: Sequence[list[int]], device: torch.device
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]:
    longest = max(map(len, ids))
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in ids], device=device)
    lengths = torch.tensor([len(row) for row in ids], device=device)
    return tokens, (torch.arange(longest, device=device) >= longest - lengths[:, None]).long()


def _cut(text: str, until: Sequence[str]) -> str:
    ends = [place for stop in until if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


class _StopTexts(StoppingCriteria):
    """Ends a row once a stop text occurs in what it has generated."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, until: Sequence[str], start: int) -> None:
        self.tokenizer, self.until, self.start = tokenizer, until, start
        self.window = 8 + max(map(len, until))

    def __call__(
        self, input_ids: Int[Tensor, "batch seq"], scores: Float[Tensor, "batch vocabulary"] | None, **_: Any
    ) -> Bool[Tensor, "batch"]:
        """Which rows are done; only the last tokens are looked at, since earlier ones were when they were new."""
        recent = input_ids[:, max(self.start, input_ids.shape[1] - self.window) :]
        texts = self.tokenizer.batch_decode(recent, skip_special_tokens=True)
        done = [any(stop in text for stop in self.until) for text in texts]
        return torch.tensor(done, device=input_ids.device)
