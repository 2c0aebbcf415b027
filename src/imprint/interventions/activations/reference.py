"""What a site's states are like on reference text: the states themselves and their root mean square, the unit of doses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.models import Anatomy, Component, evaluating, on_model, record


@torch.no_grad()
def reference_states(
    model: PreTrainedModel, sites: Sequence[str], batches: Iterable[Mapping[str, Any]]
) -> dict[str, Float[Tensor, "token width"]]:
    """The states of all real tokens of reference batches at each site, in reading order, float32 on the CPU.

    A batch holds the arguments of the model's forward pass; padding (by its attention mask) is left out. From them come
    the value of a mean ablation (`.mean(0)`), the states to resample from, and `site_rms`.
    """
    anatomy = Anatomy(model)
    parts: dict[str, list[Tensor]] = {site: [] for site in sites}
    with evaluating(model):
        for batch in batches:
            with record(model, sites) as states:
                model(**on_model(model, batch))
            for site in sites:
                found = states[str(anatomy.find(site))]
                real = real_tokens(batch, anatomy.find(site), found)
                parts[site].append(found[real].float().cpu())
    if not parts or any(sum(map(len, found)) == 0 for found in parts.values()):
        raise ConfigError("Reference states need at least one site and one token; the batches or the sites are empty.")
    return {site: torch.cat(found) for site, found in parts.items()}


def real_tokens(batch: Mapping[str, Any], component: Component, states: Tensor) -> Bool[Tensor, "batch seq"]:
    """Which tokens of a batch are not padding, for the tower of a component."""
    mask = batch.get("decoder_attention_mask" if component.stack == "decoder" else "attention_mask")
    if mask is None:
        return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    real: Tensor = mask.to(states.device).bool()
    return real


def site_rms(states: Float[Tensor, "token width"]) -> float:
    """The root mean square of a site's numbers in a typical token: the median over tokens of each token's own.

    The median, because a few tokens of Llama-like models (the first of a text) have states hundreds of times as large,
    and would otherwise set the unit for all others. Doses of noise, shifts and signs are in units of it.
    """
    value = float(states.double().square().mean(1).sqrt().median())
    if not 0 < value < float("inf"):
        raise ConfigError(
            f"The root mean square of {len(states)} reference states is {value}; doses would mean nothing."
        )
    return value
