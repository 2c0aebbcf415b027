"""The unembedding apart from the rest: losses, sampled labels and the gradient at the last states, in bounded memory."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.models.families import FAMILIES

CHUNK_LOGITS = 1 << 22
"""Logits held at a time on a CPU: below 32 MB also in double precision, so that the allocator reuses the memory."""
CHUNK_LOGITS_GPU = 1 << 26
"""The same on a GPU, which is idle while it is given small work: 270 MB in float32."""
_SAMPLE_BLOCK = 64
_LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def plain_head(model: PreTrainedModel) -> nn.Linear | None:
    """The linear map from the last states to the logits, or None where the model may do more than that.

    Known for imprint's families (proven for each in the tests), unless their config caps or scales the logits.
    """
    head: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    known = FAMILIES.get(model.config.model_type)
    changed = any(getattr(model.config, name, None) is not None for name in _LOGIT_SETTINGS)
    if known is None or known.objective != "causal" or changed or type(head) is not nn.Linear:
        return None
    return head


def chunk_logits(device: torch.device) -> int:
    """How many logits are held at a time."""
    return CHUNK_LOGITS if device.type == "cpu" else CHUNK_LOGITS_GPU


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadGradient:
    """Losses of the labels in nats, and the gradient of their sum at the states that predict them."""

    losses: Float[Tensor, "token"]
    gradient: Float[Tensor, "token d_model"]


@torch.no_grad()
def head_gradient(
    head: nn.Linear,
    states: Float[Tensor, "token d_model"],
    labels: Int[Tensor, "token"],
    *,
    draws: Float[Tensor, "token"] | None = None,
) -> HeadGradient:
    """Cross-entropy and its gradient at the states, a chunk of tokens at a time.

    With `draws`, uniform in [0, 1), the labels are those of the model's own distribution in place of those given.
    """
    if len(states) == 0:
        return HeadGradient(losses=states.new_zeros(0), gradient=states)
    losses, gradients = [], []
    size = max(1, chunk_logits(states.device) // head.out_features)
    for start in range(0, len(states), size):
        chosen = slice(start, start + size)
        logits = head(states[chosen])
        probabilities = logits.softmax(-1)
        wanted = (labels[chosen] if draws is None else sampled_labels(probabilities, draws[chosen]))[:, None]
        losses.append(_losses(logits, probabilities, wanted))
        probabilities.scatter_add_(-1, wanted, torch.full_like(wanted, -1, dtype=probabilities.dtype))
        gradients.append(probabilities @ head.weight)
    return HeadGradient(losses=torch.cat(losses), gradient=torch.cat(gradients))


def _losses(
    logits: Float[Tensor, "token vocabulary"],
    probabilities: Float[Tensor, "token vocabulary"],
    labels: Int[Tensor, "token 1"],
) -> Float[Tensor, "token"]:
    """- log p of the labels through the largest probability, which no type rounds to zero."""
    wide = torch.promote_types(logits.dtype, torch.float32)
    largest = logits.max(-1, keepdim=True)
    normaliser = largest.values.to(wide) - probabilities.gather(-1, largest.indices).to(wide).log()
    return (normaliser - logits.gather(-1, labels).to(wide))[:, 0]


def sampled_labels(
    probabilities: Float[Tensor, "token vocabulary"], draws: Float[Tensor, "token"]
) -> Int[Tensor, "token"]:
    """One label a token by inverse CDF, in two levels: first a block of the vocabulary, then a token within it.

    `draws` are uniform in [0, 1).
    """
    size, vocabulary = _SAMPLE_BLOCK, probabilities.shape[1]
    wide = torch.float64 if probabilities.dtype == torch.float64 else torch.float32
    blocks = vocabulary // size
    even = probabilities[:, : blocks * size].reshape(-1, blocks, size) if blocks else None
    sums = [] if even is None else [even.sum(-1, dtype=wide)]
    if vocabulary % size:
        sums.append(probabilities[:, blocks * size :].sum(-1, dtype=wide, keepdim=True))
    below = torch.cat(sums, dim=1).cumsum(1)
    left = draws.to(wide)[:, None] * below[:, -1:]
    block = torch.searchsorted(below, left, right=True).clamp_(max=below.shape[1] - 1)
    left = left - torch.where(block > 0, below.gather(1, (block - 1).clamp(min=0)), 0.0)
    places = block * size + torch.arange(size, device=probabilities.device)
    inside = places < vocabulary
    within = (probabilities.gather(1, places.clamp(max=vocabulary - 1)).to(wide) * inside).cumsum(1)
    left = torch.minimum(left, within[:, -1:] * (1 - 1e-6))  # rounding must not reach beyond the block's last token
    place = torch.searchsorted(within, left, right=True)
    return (block * size + place).clamp_(max=vocabulary - 1)[:, 0]
