"""The field's in-context-learning scores, kept apart: their signs and baselines are incompatible.

`icl.olsson`  L[late] - L[early], mean over documents; negative = the model uses its context.
`icl.mda`     L[late] - mean(L[beginning]); negative = good; another baseline.
`icl.fewshot` accuracy on k-shot items; positive = good.
Trust: a drop of loss along the context is not few-shot ability (Yin and Steinhardt 2025: function-vector heads, not
induction heads, carry few-shot accuracy; HAPAX 2511.05743: weaker induction heads with better abstractive ICL).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities.repeats import fewshot_hits
from imprint.errors import ConfigError
from imprint.models import evaluating, label_mask, token_losses

SHORTEST_CONTEXT = 20
"""Tokens that early and late windows need without overlapping."""

__all__ = ["SHORTEST_CONTEXT", "IclWindows", "fewshot", "mda", "olsson", "row_losses"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IclWindows:
    """Which positions of the loss vector count as early and as late (end exclusive)."""

    early: tuple[int, int]
    """The baseline of `icl.olsson`."""
    late: tuple[int, int]
    beginning: tuple[int, int]
    """The baseline of `icl.mda`."""

    @staticmethod
    def for_context(context: int) -> "IclWindows":
        """Positions 50 (or 0..50) and 500 where the context allows; else 4..12 (or 0..12) and the last eight (METHODS §2.1)."""
        if context > 500:
            return IclWindows(early=(50, 51), late=(500, 501), beginning=(0, 50))
        if context < SHORTEST_CONTEXT:
            raise ConfigError(
                f"a context of {context} tokens is too short for an ICL score; it needs at least {SHORTEST_CONTEXT}"
            )
        return IclWindows(early=(4, 12), late=(context - 8, context), beginning=(0, 12))


@torch.no_grad()
def row_losses(
    model: PreTrainedModel, tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"], *, batch: int = 64
) -> tuple[Float[Tensor, "row seq"], Float[Tensor, "row seq"]]:
    """Every token's loss in nats, and the mask of real tokens, both on the CPU; without dropout."""
    with evaluating(model):
        losses = [
            token_losses(model(part[:, :-1], use_cache=False).logits, part[:, 1:]).cpu()
            for part in (some.to(model.device) for some in torch.split(tokens, batch))
        ]
    return torch.cat(losses), label_mask(lengths.cpu(), tokens.shape[1] - 1)


def olsson(losses: Float[Tensor, "row seq"], mask: Float[Tensor, "row seq"], windows: IclWindows) -> float:
    """`icl.olsson` = late loss minus early loss in nats, over rows that reach the late window; negative = good."""
    full = _full_rows(mask, windows)
    return float(_mean(losses, full, windows.late) - _mean(losses, full, windows.early))


def mda(losses: Float[Tensor, "row seq"], mask: Float[Tensor, "row seq"], windows: IclWindows) -> float:
    """`icl.mda` = late loss minus the mean loss of the row's beginning in nats, over the same rows; negative = good."""
    full = _full_rows(mask, windows)
    return float(_mean(losses, full, windows.late) - _mean(losses, full, windows.beginning))


def fewshot(
    model: PreTrainedModel,
    alphabet: list[int],
    *,
    shots: int = 8,
    rows: int = 256,
    seed: int = 0,
    bos: int | None = None,
) -> float:
    """`icl.fewshot` = accuracy of k-shot recall of fresh random pairs; chance is 1 / alphabet, positive = good."""
    return float(np.asarray(fewshot_hits(model, alphabet, shots=shots, rows=rows, seed=seed, bos=bos)).mean())


def _full_rows(mask: Float[Tensor, "row seq"], windows: IclWindows) -> Bool[Tensor, "row"]:
    full = mask[:, : windows.late[1]].all(1)
    if not bool(full.any()):
        raise ConfigError(f"no held-out row is {windows.late[1]} tokens long, so the ICL score has nothing to average")
    return full


def _mean(losses: Float[Tensor, "row seq"], rows: Bool[Tensor, "row"], window: tuple[int, int]) -> Float[Tensor, ""]:
    return losses[rows, window[0] : window[1]].mean()
