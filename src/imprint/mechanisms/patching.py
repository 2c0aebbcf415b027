"""Sufficiency by denoising: give a run that cannot copy one component's clean output and see how much copying returns."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe
from imprint.models import Anatomy, Component, Hook, evaluating, hooked, log_probs_of, record
from imprint.stats import Effect, bootstrap_mean

NOTHING_TO_RESTORE = "the clean run copies no better than the corrupted one, so there is nothing to restore"
"""The note of an effect on a model that does not copy."""


@torch.no_grad()
def denoising(model: PreTrainedModel, probe: RepeatProbe, heads: Sequence[Component], *, seed: int = 0) -> Effect:
    """Share of the copy's log-probability restored by patching `heads` from the clean into the corrupted run.

    Clean: the second half repeats the first. Corrupted: the same second half after an unrelated first half. 0 = nothing
    restored, 1 = all of it; each sequence's gain is divided by the mean gap between clean and corrupted runs, and the
    interval is over sequences. Source: Heimersheim and Nanda 2024.
    Trust: the corrupted run keeps everything else it had, so shares of several heads need not add up to one. Where the
    model hardly copies the gap is small and the share means little; without any gap it is 0 and the note says so.
    """
    with evaluating(model):
        corrupted = _log_probs(model, probe, probe.unrelated)
        gap = float((_log_probs(model, probe, probe.tokens) - corrupted).sum(1).mean())
        gained = (_patched(model, probe, heads) - corrupted).sum(1)
    names = "+".join(str(head) for head in heads)
    restored = bootstrap_mean(
        gained / gap if gap > 0 else np.zeros_like(gained),
        seed=seed,
        unit="item",
        control_name="unrelated first half",
        metric=f"denoising {names}",
    )
    return restored if gap > 0 else replace(restored, note=NOTHING_TO_RESTORE)


def _patched(model: PreTrainedModel, probe: RepeatProbe, heads: Sequence[Component]) -> np.ndarray:
    anatomy = Anatomy(model)
    with record(model, list(heads)) as clean:
        model(probe.tokens.to(model.device), use_cache=False)
    hooks: list[Hook] = [_transplant(anatomy, head, clean[str(head)]) for head in heads]
    with hooked(model, hooks):
        return _log_probs(model, probe, probe.unrelated)


def _transplant(anatomy: Anatomy, head: Component, source: Tensor) -> Hook:
    columns = anatomy.head_columns(head)
    assert head.layer is not None

    def put(z: Tensor) -> Tensor:
        return torch.cat([z[..., : columns.start], source, z[..., columns.stop :]], dim=-1)

    return anatomy.out_projection(head.layer), "pre", put


def _log_probs(model: PreTrainedModel, probe: RepeatProbe, tokens: Tensor) -> np.ndarray:
    tokens = tokens.to(model.device)
    logits = model(tokens, use_cache=False).logits[:, probe.query]
    return log_probs_of(logits, tokens[:, probe.query + 1]).double().cpu().numpy()
