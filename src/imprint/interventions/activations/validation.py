"""What an intervention does beside what it is meant to do: perplexity on cluster and general text, attention patterns.

To be read before any claim: an edit that raises the loss of all text alike has not found the cluster (METHODS section 5).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.interventions.activations.gradient_signs import IGNORED, next_tokens
from imprint.interventions.activations.intervene import entry_layer, intervene
from imprint.interventions.activations.intervention import Intervention
from imprint.interventions.activations.reference import real_tokens
from imprint.models import Anatomy, eager_attention, evaluating, log_probs_of, on_model, prefix_states, record, resumed
from imprint.stats import Effect, paired_difference
from imprint.stats.resampling import bootstrap_interval

WITHOUT = "the model without the intervention"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LossChange:
    """Mean loss of each document (row), nats a token, without and with the intervention; exp of it is the perplexity."""

    name: str
    before: Float[np.ndarray, "doc"]
    after: Float[np.ndarray, "doc"]

    def effect(self, *, seed: int) -> Effect:
        """The rise of log perplexity, paired by document. Positive: the intervention made the text less likely."""
        metric = f"log perplexity, {self.name} text"
        return paired_difference(
            self.after, self.before, seed=seed, unit="document", control_name=WITHOUT, metric=metric
        )

    def beyond(self, other: "LossChange", *, seed: int) -> Effect:
        """How much more log perplexity rose here than on other text; the documents of the two are resampled apart."""
        here, there = self.after - self.before, other.after - other.before
        low, high = bootstrap_interval((here, there), _difference_of_means, seed=seed)
        return Effect(
            estimate=float(here.mean() - there.mean()),
            low=low,
            high=high,
            n=min(len(here), len(there)),
            unit="document",
            control=f"{other.name} text",
            metric=f"rise of log perplexity, {self.name} against {other.name} text",
        )


def _difference_of_means(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(first.mean(axis=axis) - second.mean(axis=axis))


@torch.no_grad()
def loss_change(
    model: PreTrainedModel, interventions: Sequence[Intervention], batches: Iterable[Mapping[str, Any]], *, name: str
) -> LossChange:
    """The loss of every document before and after, from one pass below the interventions and two above.

    A row is a document; rows are numbered through all batches, as token masks count them. A batch may bring `labels`
    aligned with the logits (-100 does not count), which masked and encoder-decoder models need; causal models predict
    the next token. Documents without a label are left out.
    """
    parts: list[tuple[Tensor, Tensor]] = []
    start = 0
    with evaluating(model):
        entry = entry_layer(model, interventions)
        for batch in batches:
            given = on_model(model, batch)
            inputs = {"use_cache": False} | {key: value for key, value in given.items() if key != "labels"}
            labels = _labels(model, given)
            rows = torch.arange(start, start + len(labels))
            start += len(labels)
            with resumed(model, entry, prefix_states(model, entry, inputs)):
                before = _document_losses(model, inputs, labels)
                with intervene(model, interventions, rows=rows):
                    parts.append((before, _document_losses(model, inputs, labels)))
    if not parts:
        raise ConfigError(f"There is no {name} text to measure perplexity on.")
    losses = [torch.cat(values).double().cpu().numpy() for values in zip(*parts, strict=True)]
    kept = np.isfinite(losses[0])
    return LossChange(name=name, before=losses[0][kept], after=losses[1][kept])


def _labels(model: PreTrainedModel, batch: Mapping[str, Any]) -> Tensor:
    if "labels" in batch:
        return torch.as_tensor(batch["labels"])
    if Anatomy(model).family.objective != "causal":
        raise ConfigError(
            f"A model of type '{model.config.model_type}' needs labels in each batch to have a perplexity."
        )
    return next_tokens(batch["input_ids"], batch.get("attention_mask"))


def _document_losses(model: PreTrainedModel, inputs: Mapping[str, Any], labels: Tensor) -> Float[Tensor, "batch"]:
    """Mean loss of each row; NaN for a row without labels."""
    counted = labels != IGNORED
    losses = -log_probs_of(model(**inputs).logits.float(), labels.clamp(min=0)).masked_fill(~counted, 0.0)
    return losses.sum(1) / torch.where(counted.any(1), counted.sum(1), torch.nan)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AttentionChange:
    """How far each head's attention moved, by document: Jensen-Shannon divergence (nats, at most .693) and total variation.

    Both are means over the document's tokens; total variation is the attention mass that moved, from 0 to 1.
    """

    heads: tuple[str, ...]
    divergence: Float[np.ndarray, "doc head"]
    moved: Float[np.ndarray, "doc head"]

    def effect(self, *, seed: int, head: str | None = None) -> Effect:
        """The mean divergence of one head, or of all. It is never negative: compare it with a control's, not with 0."""
        values = self.divergence.mean(1) if head is None else self.divergence[:, self.heads.index(head)]
        metric = f"Jensen-Shannon divergence of attention, {head or 'all heads'}"
        effect = paired_difference(
            values, np.zeros_like(values), seed=seed, unit="document", control_name=WITHOUT, metric=metric
        )
        return replace(effect, note="never negative; compare with the same figure of a control")


@torch.no_grad()
def attention_change(
    model: PreTrainedModel,
    interventions: Sequence[Intervention],
    batch: Mapping[str, Any],
    *,
    sites: Sequence[str] | None = None,
    rows: Tensor | None = None,
) -> AttentionChange:
    """How the attention patterns of a batch change, head by head; `sites` such as "L3.pattern", all layers if left out.

    Runs with plain attention, which gives patterns (`eager_attention` says where it cannot). Encoder-decoder models
    need `sites`. Trust: patterns of heads below the intervention cannot change; heads right above it change most.
    """
    anatomy = Anatomy(model)
    if sites is None and len(anatomy.stacks) > 1:
        raise ConfigError(
            "An encoder-decoder model has three kinds of pattern; name sites such as decoder.L0.cross.pattern."
        )
    wanted = [f"L{layer}.pattern" for layer in range(anatomy.num_layers)] if sites is None else list(sites)
    inputs = {"use_cache": False, **on_model(model, batch)}
    with evaluating(model), eager_attention(model):
        with record(model, wanted) as before:
            model(**inputs)
        with intervene(model, interventions, rows=rows), record(model, wanted) as after:
            model(**inputs)
    heads = [f"{site.removesuffix('pattern')}H{head}" for site in wanted for head in range(anatomy.num_heads)]
    changes = [
        _pattern_change(before[site], after[site], _queries(anatomy, batch, site, before[site])) for site in wanted
    ]
    divergence, moved = (torch.cat(values, dim=1).cpu().numpy() for values in zip(*changes, strict=True))
    return AttentionChange(heads=tuple(heads), divergence=divergence, moved=moved)


def _queries(anatomy: Anatomy, batch: Mapping[str, Any], site: str, pattern: Tensor) -> Tensor:
    return real_tokens(batch, anatomy.find(site), pattern[:, 0])


def _pattern_change(
    before: Tensor, after: Tensor, real: Tensor
) -> tuple[Float[Tensor, "doc head"], Float[Tensor, "doc head"]]:
    first, second = before.double(), after.double()
    middle = (first + second) / 2
    divergence = (_relative_entropy(first, middle) + _relative_entropy(second, middle)).sum(-1) / 2
    moved = (first - second).abs().sum(-1) / 2
    weight = real[:, None].double() / real.sum(1).clamp_min(1)[:, None, None]
    return (divergence * weight).sum(-1), (moved * weight).sum(-1)


def _relative_entropy(first: Tensor, second: Tensor) -> Tensor:
    return torch.where(first > 0, first * (first.clamp_min(1e-300) / second.clamp_min(1e-300)).log(), 0.0)
