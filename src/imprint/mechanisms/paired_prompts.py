"""Clean and corrupted prompts that differ only in what is asked about, and the outcome read from a model's logits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe
from imprint.errors import ConfigError
from imprint.models import check_context, family_of, log_probs_of

Arm = Literal["clean", "corrupted"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairedPrompts:
    """Items of two prompts aligned token by token; in the clean one `answer` is right, in the corrupted one it is not.

    In a masked model `position` is where the [MASK] stands; in an encoder-decoder model it counts in `decoder`.

    Raises:
        ConfigError: shapes do not fit, or a position lies outside its prompt.
    """

    clean: Int[Tensor, "item seq"]
    corrupted: Int[Tensor, "item seq"]
    answer: Int[Tensor, "item"]
    foil: Int[Tensor, "item"]
    """The answer that the corrupted prompt calls for, or any plausible wrong one."""
    position: Int[Tensor, "item"]
    """Where the logits are read."""
    attention_mask: Int[Tensor, "item seq"] | None = None
    """Of both prompts: they are aligned, so they are padded alike."""
    group: Int[Tensor, "item"] | None = None
    """Items of one group (questions about one sequence) are not independent: average over them before testing."""
    decoder: Int[Tensor, "item target"] | None = None
    """Decoder input of an encoder-decoder model, the same in both arms."""

    def __post_init__(self) -> None:
        """Refuse prompts that are not aligned."""
        if self.clean.shape != self.corrupted.shape:
            raise ConfigError(
                f"Clean prompts of shape {tuple(self.clean.shape)} and corrupted ones of {tuple(self.corrupted.shape)} are "
                "not aligned: replace tokens one for one."
            )
        items = {len(part) for part in (self.clean, self.answer, self.foil, self.position)}
        if len(items) > 1 or not len(self.clean):
            raise ConfigError(
                f"Paired prompts need as many answers, foils and positions as items: got {sorted(items)}."
            )
        length = (self.clean if self.decoder is None else self.decoder).shape[1]
        if int(self.position.min()) < 0 or int(self.position.max()) >= length:
            raise ConfigError(f"Positions must lie in 0 to {length - 1}: got {self.position.tolist()[:5]}.")

    def __len__(self) -> int:
        """The number of items."""
        return len(self.clean)

    def inputs(self, arm: Arm) -> dict[str, Tensor]:
        """Keyword arguments of a forward pass."""
        optional = {"attention_mask": self.attention_mask, "decoder_input_ids": self.decoder}
        tokens = self.clean if arm == "clean" else self.corrupted
        return {"input_ids": tokens, **{name: value for name, value in optional.items() if value is not None}}

    def batches(self, size: int) -> Iterator["PairedPrompts"]:
        """The same items, `size` at a time."""
        for start in range(0, len(self), size):
            items = slice(start, start + size)
            yield replace(
                self,
                clean=self.clean[items],
                corrupted=self.corrupted[items],
                answer=self.answer[items],
                foil=self.foil[items],
                position=self.position[items],
                group=None if self.group is None else self.group[items],
                attention_mask=None if self.attention_mask is None else self.attention_mask[items],
                decoder=None if self.decoder is None else self.decoder[items],
            )


Metric = Callable[[Float[Tensor, "item vocabulary"], PairedPrompts], Float[Tensor, "item"]]
"""The outcome Y of every item from the logits at its position; differentiable for attribution patching."""


def logit_difference(logits: Float[Tensor, "item vocabulary"], pairs: PairedPrompts) -> Float[Tensor, "item"]:
    """logit(answer) - logit(foil): the log odds of the answer against the foil, in nats. The default outcome.

    Linear in the last residual stream, so effects of parts add up better than probabilities do (Heimersheim and Nanda 2024;
    Zhang and Nanda 2024).
    """
    chosen = logits.gather(-1, torch.stack([pairs.answer, pairs.foil], -1))
    return chosen[:, 0] - chosen[:, 1]


def answer_log_prob(logits: Float[Tensor, "item vocabulary"], pairs: PairedPrompts) -> Float[Tensor, "item"]:
    """The log-probability of the answer in nats."""
    return log_probs_of(logits, pairs.answer)


def forward_arguments(model: PreTrainedModel, pairs: PairedPrompts, arm: Arm) -> dict[str, Tensor | bool]:
    """Keyword arguments of the forward pass of one arm, on the model's device and without a cache."""
    inputs: dict[str, Tensor | bool] = {name: part.to(model.device) for name, part in pairs.inputs(arm).items()}
    masked = family_of(model.config.model_type).objective == "masked"
    return inputs if masked else {**inputs, "use_cache": False}


def outcome(
    model: PreTrainedModel, pairs: PairedPrompts, arm: Arm, metric: Metric = logit_difference
) -> Float[Tensor, "item"]:
    """Y of every item in one arm, from one forward pass; differentiable where gradients are on.

    Raises:
        ContextTooLong: the prompts do not fit into the model's context.
    """
    check_context(model, pairs.clean.shape[1])
    logits = model(**forward_arguments(model, pairs, arm)).logits
    read = logits[torch.arange(len(pairs)), pairs.position.to(logits.device)]
    return metric(read.to(pairs.answer.device), pairs)


def copy_pairs(probe: RepeatProbe) -> PairedPrompts:
    """Repeated random sequences as pairs, an item a row and query, grouped by row; only the clean prompt can be copied from.

    The foil is the token that stands at the answer's place in the corrupted first half.
    """
    rows, queries = len(probe.tokens), len(probe.query)
    row, query = torch.arange(rows).repeat_interleave(queries), probe.query.repeat(rows)
    return PairedPrompts(
        clean=probe.tokens[row],
        corrupted=probe.unrelated[row],
        answer=probe.tokens[row, query + 1],
        foil=probe.unrelated[row, probe.match.repeat(rows)],
        position=query,
        group=row,
    )
