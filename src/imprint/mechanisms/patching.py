"""Sufficiency by denoising: give a run that cannot copy one component's clean output and see how much copying returns."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import RepeatProbe
from imprint.models import Anatomy, Component, Hook, hooked, log_probs_of, record
from imprint.stats import Effect, bootstrap_mean


@torch.no_grad()
def denoising(model: PreTrainedModel, probe: RepeatProbe, heads: Sequence[Component], *, seed: int = 0) -> Effect:
    """Share of the copy's log-probability restored by patching `heads` from the clean into the corrupted run.

    Clean: the second half repeats the first. Corrupted: the same second half after an unrelated first half. 0 = nothing
    restored, 1 = all of it, per sequence, with an interval over sequences. Source: Heimersheim and Nanda 2024.
    Trust: the corrupted run keeps everything else it had, so shares of several heads need not add up to one.
    """
    clean = _log_probs(model, probe, probe.tokens)
    corrupted = _log_probs(model, probe, probe.unrelated)
    patched = _patched(model, probe, heads)
    restored = (patched - corrupted).sum(1) / (clean - corrupted).sum(1)
    names = "+".join(str(head) for head in heads)
    return bootstrap_mean(
        restored.astype(np.float64),
        seed=seed,
        unit="item",
        control_name="unrelated first half",
        metric=f"denoising {names}",
    )


def _patched(model: PreTrainedModel, probe: RepeatProbe, heads: Sequence[Component]) -> np.ndarray:
    anatomy = Anatomy(model)
    with record(model, list(heads)) as clean:
        model(probe.tokens, use_cache=False)
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
    logits = model(tokens, use_cache=False).logits[:, probe.query]
    return log_probs_of(logits, tokens[:, probe.query + 1]).double().numpy()
