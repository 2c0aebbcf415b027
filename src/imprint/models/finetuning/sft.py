"""Supervised fine-tuning: cross-entropy on the labels that are learnt; prompt and padding contribute exactly nothing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from imprint.corpus import Packed
from imprint.corpus.chat import ChatRows
from imprint.models.finetuning.objective import Tunable
from imprint.models.loss import token_losses


def answer_losses(
    model: Tunable, tokens: Int[Tensor, "row seq_plus_1"], label_mask: Bool[Tensor, "row seq"]
) -> Float[Tensor, "row"]:
    """Minus the log-likelihood, in nats, of the labels `tokens[:, 1:]` where the mask is True, summed over each row."""
    device = next(model.parameters()).device
    tokens, label_mask = tokens.to(device), label_mask.to(device)
    losses = token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
    return torch.where(label_mask, losses, 0.0).sum(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Supervised:
    """The SFT objective of a set of rows.

    Trust: equals `attribution.unrolled.NextToken` where a row has one answer, at its end.
    """

    tokens: Int[Tensor, "row seq_plus_1"]
    label_mask: Bool[Tensor, "row seq"]

    @staticmethod
    def of(rows: ChatRows | Packed) -> "Supervised":
        """Conversations with masked prompts, or packed documents, of which every token is learnt."""
        mask = np.ascontiguousarray(rows.label_mask)
        return Supervised(tokens=torch.from_numpy(rows.tokens), label_mask=torch.from_numpy(mask))

    @staticmethod
    def load(folder: Path) -> "Supervised":
        """The objective of what `RenderedChats` or `PackedCorpus` saved.

        Raises:
            CorpusError: the folder holds neither.
        """
        packed = (folder / "packed.json").exists()
        return Supervised.of(Packed.load(folder) if packed else ChatRows.load(folder))

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """How many labels of each row are learnt."""
        return self.label_mask.sum(1).float()

    def losses(self, model: Tunable, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """The loss of each of these rows, summed over its answers, in nats."""
        return answer_losses(model, self.tokens[rows], self.label_mask[rows])
