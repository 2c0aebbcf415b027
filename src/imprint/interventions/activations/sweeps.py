"""`sweep`: many interventions on one batch, with everything below them computed once and only the read logits made."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.interventions.activations.intervene import Placed, entry_layer, placed
from imprint.interventions.activations.intervention import Intervention
from imprint.models import PrefixStates, evaluating, on_model, prefixes, reading, resumed

Read = tuple[Int[Tensor, "n"], Int[Tensor, "n"]]
"""The (rows, positions) of the logits that are wanted."""
Variants = Mapping[str, Sequence[Intervention]]
TOKENS_AT_ONCE = 1024
"""Variants share a pass up to so many tokens. On one CPU thread a token costs a tenth to a fifth less at 1024 tokens a
pass than at 256, and a third of what it costs at 8."""
TOKENS_AT_ONCE_GPU = 32_768
"""The same on a GPU, which small passes leave idle: 32 variants of 1024 tokens took a fifth of the time in one pass."""


def last_tokens(batch: Mapping[str, Any]) -> Read:
    """The last real token of every row, where the answer is read."""
    ids: Tensor = batch["decoder_input_ids"] if "decoder_input_ids" in batch else batch["input_ids"]
    mask = batch.get("decoder_attention_mask" if "decoder_input_ids" in batch else "attention_mask")
    real = torch.ones_like(ids) if mask is None else mask
    places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    return torch.arange(len(ids), device=ids.device), (places * real.bool()).argmax(1)


@torch.no_grad()
def sweep(
    model: PreTrainedModel,
    batch: Mapping[str, Any],
    variants: Variants,
    *,
    read: Read | None = None,
    rows: Int[Tensor, "batch"] | None = None,
    tokens_at_once: int | None = None,
    reduce: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """The logits (n, vocabulary) of each variant at the places in `read`, the last token of every row if left out.

    A variant is a name and the interventions that act together; one without any is the model itself. Each variant
    starts at the first block it can change, from states that were recorded in one pass over the batch, and short
    batches share a pass. `reduce` is applied to each variant's logits, to keep less than all of them. `rows` are the
    row ids of `intervene`; `tokens_at_once` is how many share a pass (None: what suits the device). Equal to one full
    pass a variant to 1e-5 in float32. Runs without dropout or gradients.

    Trust: states of every distinct entry layer are held at once, one residual stream of the batch each.
    """
    if not variants:
        raise ConfigError("A sweep needs at least one variant, a name with the interventions that act together.")
    batch = on_model(model, batch)
    rows_read, positions = last_tokens(batch) if read is None else read
    wanted = rows_read.to(model.device), positions.to(model.device)
    by_layer: defaultdict[int, list[str]] = defaultdict(list)
    for name, items in variants.items():
        by_layer[entry_layer(model, items)].append(name)
    results: dict[str, Tensor] = {}
    with evaluating(model):
        states = prefixes(model, list(by_layer), {"use_cache": False, **batch})
        most = tokens_at_once or (TOKENS_AT_ONCE if model.device.type == "cpu" else TOKENS_AT_ONCE_GPU)
        together = max(1, most // batch["input_ids"].numel())
        for layer, names in by_layer.items():
            for group in _groups(names, together):
                found = _run(model, batch, [variants[name] for name in group], states[layer], wanted, rows)
                results |= {
                    name: part if reduce is None else reduce(part) for name, part in zip(group, found, strict=True)
                }
    return {name: results[name] for name in variants}


def _groups(names: Sequence[str], size: int) -> list[list[str]]:
    rest = iter(names)
    return list(iter(lambda: list(islice(rest, size)), []))


def _run(
    model: PreTrainedModel,
    batch: Mapping[str, Any],
    group: Sequence[Sequence[Intervention]],
    states: PrefixStates,
    read: Read,
    rows: Tensor | None,
) -> Sequence[Float[Tensor, "n vocabulary"]]:
    """Several variants as one batch, each on its own copy of the rows."""
    size, copies = len(batch["input_ids"]), len(group)
    ids = torch.arange(size) if rows is None else rows
    items = [
        Placed(intervention=item, span=slice(index * size, (index + 1) * size))
        for index, variant in enumerate(group)
        for item in variant
    ]
    offsets = size * torch.arange(copies, device=read[0].device).repeat_interleave(len(read[0]))
    with ExitStack() as stack:
        stack.enter_context(resumed(model, states.layer, states.tile(copies) if copies > 1 else states))
        if items:
            stack.enter_context(placed(model, items, rows=ids.repeat(copies)))
        stack.enter_context(reading(model, read[0].repeat(copies) + offsets, read[1].repeat(copies)))
        logits: Tensor = model(**_repeated(batch, copies)).logits[0]
    return torch.split(logits, len(read[0]))


def _repeated(batch: Mapping[str, Any], copies: int) -> dict[str, Any]:
    once: dict[str, Any] = {"use_cache": False, **batch}
    if copies == 1:
        return once
    return {
        key: value.repeat(copies, *(1 for _ in value.shape[1:])) if isinstance(value, Tensor) else value
        for key, value in once.items()
    }
