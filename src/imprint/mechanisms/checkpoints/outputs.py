"""Entropy of the predicted distribution and loss of the token that came, in nats."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_TOKENS_AT_ONCE = 256


def entropies_and_losses(
    logits: Float[Tensor, "token vocabulary"], tokens: Int[Tensor, "token"]
) -> tuple[Float[np.ndarray, "token"], Float[np.ndarray, "token"]]:
    """Per token, the entropy of the prediction (0 to log vocabulary) and the negative log-likelihood of what came.

    Trust: entropy falls with any training on narrow text; compare checkpoints on one set of tokens only.
    """
    entropies, losses = [], []
    for start in range(0, len(logits), _TOKENS_AT_ONCE):
        part = slice(start, start + _TOKENS_AT_ONCE)
        log_probs = logits[part].double().log_softmax(-1)
        entropies.append(torch.special.entr(log_probs.exp()).sum(-1).cpu())
        losses.append(-log_probs.gather(-1, tokens[part].to(log_probs.device)[:, None])[:, 0].cpu())
    return torch.cat(entropies).numpy(), torch.cat(losses).numpy()
