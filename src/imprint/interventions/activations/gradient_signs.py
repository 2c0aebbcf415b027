"""The sign of the loss's gradient at a site: the direction of `Sign`, the gradient-sign injection of source 000."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.interventions.activations.reference import real_tokens
from imprint.models import Anatomy, depth_of, evaluating, hooked, on_model, place, prefix_states, resumed

IGNORED = -100
"""The label of a token that does not count."""


def next_tokens(
    input_ids: Int[Tensor, "batch seq"], attention_mask: Int[Tensor, "batch seq"] | None = None
) -> Int[Tensor, "batch seq"]:
    """The labels of a causal model, aligned with its logits: at t the token at t + 1, -100 at the end and at padding."""
    labels = torch.full_like(input_ids, IGNORED)
    labels[:, :-1] = input_ids[:, 1:]
    if attention_mask is None:
        return labels
    both = torch.zeros_like(attention_mask, dtype=torch.bool)
    both[:, :-1] = attention_mask[:, 1:].bool() & attention_mask[:, :-1].bool()
    return labels.masked_fill(~both, IGNORED)


def gradient_signs(
    model: PreTrainedModel, batch: Mapping[str, Any], labels: Int[Tensor, "rows read"], site: str
) -> Int[Tensor, "batch position width"]:
    """sign(dL/dh) in int8 at every token of a site, L the summed cross-entropy of `labels`.

    Labels are aligned with the logits, also those of `reading`. A step along it raises the loss. Rows do not
    influence each other; positions count real tokens from 0, as in token masks, and padding has sign 0. Only the
    blocks from the site on are differentiated; parameters keep their `requires_grad` and get no `.grad`.
    `ConfigError` if no label counts.
    """
    if not bool((labels != IGNORED).any()):
        raise ConfigError("A gradient needs labels; all that were given are -100.")
    anatomy = Anatomy(model)
    component = anatomy.find(site)
    module, edge = place(anatomy, component)
    leaves: list[Tensor] = []

    def cut(states: Tensor) -> Tensor:
        leaves.append(states.detach().requires_grad_(True))
        return leaves[-1]

    entry = depth_of(model, component)
    states = prefix_states(model, entry, batch)
    with evaluating(model), torch.enable_grad(), hooked(model, [(module, edge, cut)]), resumed(model, entry, states):
        logits = model(**on_model(model, batch)).logits
        wanted = labels.to(logits.device).flatten()
        loss = cross_entropy(logits.flatten(0, 1).float(), wanted, ignore_index=IGNORED, reduction="sum")
        gradient = torch.autograd.grad(loss, leaves[-1])[0]
    if component.site == "head":
        gradient = gradient[..., anatomy.head_columns(component)]
    return _by_position(gradient.sign().to(torch.int8), real_tokens(batch, component, gradient))


def _by_position(signs: Tensor, real: Tensor) -> Tensor:
    """Move each row's real tokens to the left, so that the index is the position."""
    order = (~real).to(torch.int8).argsort(dim=1, stable=True)
    moved = torch.where(real[..., None], signs, 0)
    return moved.gather(1, order[..., None].expand_as(signs))
