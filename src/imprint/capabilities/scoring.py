"""Log-probabilities of continuations, fast and again and again: built once for a model, scored under many interventions.

Only the positions that are scored are unembedded, and where the interventions begin at block `layer`, the states that
enter it are kept from the first run, so that every further run starts there.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities.encoding import Request
from imprint.capabilities.rows import Batch, batches_of, rows_of
from imprint.errors import ConfigError, InputError, ModelError
from imprint.interventions.activations import Intervention, entry_layer, intervene
from imprint.models import Anatomy, evaluating, family_of
from imprint.models.families import Objective
from imprint.models.prefix import PrefixStates, prefix_states, resumed
from imprint.models.readout import reading
from imprint.types import Advance, no_progress

_READS_AT_ONCE = 512
"""Rows of logits held at a time: 100 MB in float32 at 50 000 tokens of vocabulary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestScore:
    """The log-probability of a continuation in nats (sum over its tokens), and whether each token was the model's top one."""

    log_prob: float
    greedy: bool
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchView:
    """What an intervention may depend on: the tokens of a batch and the states that enter block `layer` (None at 0).

    `rows` are the ids of its rows among all rows of the scorer. Of an encoder-decoder, `input_ids` are the decoder's.
    """

    rows: Int[Tensor, "batch"]
    input_ids: Int[Tensor, "batch seq"]
    mask: Bool[Tensor, "batch seq"]
    """True on real tokens, False on padding."""
    layer: int
    states: Float[Tensor, "batch seq d_model"] | None


Interventions = Sequence[Intervention] | Callable[[BatchView], Sequence[Intervention]]
"""For all rows of the scorer (masks are (row, position), see `token_mask`), or made for each batch alone (its own rows)."""


class Scorer:
    """Requests tokenised, batched and ready for one model; `score` may be called any number of times.

    `layer` is the first block whose computation an intervention will change (`entry_layer`): blocks below it run once.
    The states kept for it take d_model numbers a token. Batches do not depend on the interventions, so a score without
    any is the exact base of a pair.

    Raises:
        InputError: no requests.
        ModelError: a masked model without a mask token.

    Trust: for masked models the numbers are pseudo-log-likelihoods: they do not sum to one over answers, and they favour
    answers whose tokens give each other away.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        requests: Sequence[Request],
        *,
        layer: int = 0,
        batch_tokens: int = 2048,
        mask_token: int | None = None,
    ) -> None:
        """Make the batches; the model runs at the first `score`."""
        if not requests:
            raise InputError("There are no requests to score; the task has no items.")
        self.model = model
        self.layer = layer
        self.objective = family_of(model.config.model_type).objective
        self._check(mask_token)
        start = getattr(model.config, "decoder_start_token_id", None) or 0
        rows = rows_of(requests, self.objective, mask_token=mask_token, start_token=start)
        self.batches = batches_of(rows, batch_tokens=batch_tokens, device=model.device)
        self._lengths = [len(request.continuation) for request in requests]
        self._entering: dict[int, PrefixStates] = {}

    @property
    def num_tokens(self) -> int:
        """Tokens that a full run feeds to the model, without padding."""
        return sum(batch.num_tokens for batch in self.batches)

    def score(self, interventions: Interventions = (), *, advance: Advance = no_progress) -> list[RequestScore]:
        """The score of every request, in their order, under the interventions. `advance` counts tokens."""
        if not callable(interventions):
            self._check_entry(interventions)
        total = torch.zeros(len(self._lengths), dtype=torch.float64)
        misses = torch.zeros(len(self._lengths), dtype=torch.float64)
        with evaluating(self.model), torch.inference_mode():
            for index, batch in enumerate(self.batches):
                log_probs, hits = self._run(index, batch, interventions)
                total.index_add_(0, batch.read_request.cpu(), log_probs)
                misses.index_add_(0, batch.read_request.cpu(), 1.0 - hits)
                advance(batch.num_tokens)
        counted = zip(total.tolist(), misses.tolist(), self._lengths, strict=True)
        return [RequestScore(log_prob=lp, greedy=missed == 0, num_tokens=n) for lp, missed, n in counted]

    def views(self) -> list[BatchView]:
        """What interventions may depend on, batch by batch; the blocks below `layer` run if they have not run yet."""
        with evaluating(self.model), torch.inference_mode():
            return [self._view(index, batch) for index, batch in enumerate(self.batches)]

    def token_mask(self, choose: Callable[[BatchView], Bool[Tensor, "batch seq"]]) -> Bool[Tensor, "row position"]:
        """The tokens that `choose` picks in each batch, as one mask for `Intervention.tokens`; padding never counts."""
        chosen = [choose(view) & view.mask for view in self.views()]
        width = max(part.shape[1] for part in chosen)
        return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in chosen])

    def _run(self, index: int, batch: Batch, interventions: Interventions) -> tuple[Tensor, Tensor]:
        """Log-probability and hit of every token that is read in a batch."""
        own = callable(interventions)
        chosen = interventions(self._view(index, batch)) if callable(interventions) else interventions
        if own:
            self._check_entry(chosen)
        with ExitStack() as stack:
            if chosen:
                stack.enter_context(intervene(self.model, list(chosen), rows=None if own else batch.rows))
            if self.layer:
                stack.enter_context(resumed(self.model, self.layer, self._prefix(index, batch)))
            return self._read(batch)

    def _view(self, index: int, batch: Batch) -> BatchView:
        states = self._prefix(index, batch).hidden if self.layer else None
        return BatchView(rows=batch.rows, input_ids=batch.input_ids, mask=batch.mask, layer=self.layer, states=states)

    def _prefix(self, index: int, batch: Batch) -> PrefixStates:
        if index not in self._entering:
            self._entering[index] = prefix_states(self.model, self.layer, _arguments(batch, self.objective))
        return self._entering[index]

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A causal model's final states are unembedded in parts, which bounds the memory of whole pages of text."""
        if self.objective != "causal":
            with reading(self.model, batch.read_row, batch.read_position):
                return _counted(self.model(**_arguments(batch, self.objective)).logits[0], batch.read_target)
        states = self.model.base_model(**_arguments(batch, self.objective)).last_hidden_state
        unembed: Any = Anatomy(self.model).unembedding()
        parts = [
            _counted(unembed(states[rows, positions]), targets)
            for rows, positions, targets in zip(
                torch.split(batch.read_row, _READS_AT_ONCE),
                torch.split(batch.read_position, _READS_AT_ONCE),
                torch.split(batch.read_target, _READS_AT_ONCE),
                strict=True,
            )
        ]
        log_probs, hits = zip(*parts, strict=True)
        return torch.cat(log_probs), torch.cat(hits)

    def _check(self, mask_token: int | None) -> None:
        if self.objective == "masked" and mask_token is None:
            raise ModelError("A masked model is scored by masking tokens; pass the tokenizer's mask_token_id.")

    def _check_entry(self, interventions: Sequence[Intervention]) -> None:
        if not interventions or not self.layer:
            return
        first = entry_layer(self.model, list(interventions))
        if first < self.layer:
            raise ConfigError(
                f"An intervention acts from block {first} on, but this scorer keeps the states entering block "
                f"{self.layer}; build it with layer={first}."
            )


def _arguments(batch: Batch, objective: Objective) -> dict[str, Any]:
    """The keyword arguments of a forward pass. A causal row needs no mask: padding on its right is never attended."""
    if batch.encoder_ids is not None:
        assert batch.encoder_mask is not None
        encoder = {"input_ids": batch.encoder_ids, "attention_mask": batch.encoder_mask.long()}
        return encoder | {"decoder_input_ids": batch.input_ids, "use_cache": False}
    return {"input_ids": batch.input_ids} | (
        {"attention_mask": batch.mask.long()} if objective == "masked" else {"use_cache": False}
    )


def _counted(logits: Float[Tensor, "read vocabulary"], targets: Int[Tensor, "read"]) -> tuple[Tensor, Tensor]:
    """Log-probability in nats and hit (1 or 0) of each target, on the CPU in double precision."""
    exact = logits if logits.dtype == torch.float64 else logits.float()
    chosen = exact.gather(1, targets[:, None])[:, 0] - exact.logsumexp(1)
    return chosen.double().cpu(), (exact.argmax(1) == targets).double().cpu()
