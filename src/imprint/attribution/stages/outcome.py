"""The outcome that is attributed: the mean margin of preference pairs, as `capabilities.PairMargins` measures it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.unrolled import Params, measured
from imprint.attribution.unrolled.parameters import Layout
from imprint.corpus.chat import PreferenceRows
from imprint.errors import SelfCheckFailed
from imprint.models.finetuning import Supervised, margins


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanMargin:
    """f = the mean over items of log p(chosen) - log p(rejected), in nats. Positive: the chosen answers are preferred."""

    chosen: Supervised
    rejected: Supervised
    batch: int
    """Items that go through the model at once; it changes memory and rounding, nothing else."""

    @staticmethod
    def load(folder: Path, *, batch: int) -> "MeanMargin":
        """The outcome on the pairs that `RenderedPreferences` saved.

        Raises:
            CorpusError: the folder holds no pairs.
        """
        pairs = PreferenceRows.load(folder)
        return MeanMargin(chosen=Supervised.of(pairs.chosen), rejected=Supervised.of(pairs.rejected), batch=batch)

    def gradient(self, model: PreTrainedModel, params: Params) -> Float[Tensor, "n"]:
        """df/d(parameters) of the model that holds `params`, packed in their order.

        Raises:
            SelfCheckFailed: it is zero or not finite.
        """
        leaves = {name: value.detach().requires_grad_(True) for name, value in params.items()}
        total = torch.zeros_like(Layout.of(params).pack(params))
        items = torch.arange(len(self.chosen.tokens))
        for rows in torch.split(items, self.batch):
            share = measured(model, leaves, partial(margins, chosen=self.chosen, rejected=self.rejected, rows=rows))
            found = torch.autograd.grad(share.sum() / len(items), list(leaves.values()), materialize_grads=True)
            total += Layout.of(params).pack(dict(zip(leaves, found, strict=True)))
        if not bool(total.isfinite().all()) or not bool(total.any()):
            problem = "zero in every parameter" if bool(total.isfinite().all()) else "not finite"
            raise SelfCheckFailed(
                f"the gradient of the mean margin is {problem}; look at the pairs and for a diverged stage"
            )
        return total
