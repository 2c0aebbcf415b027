"""Loss: rows that the model predicts worst come first."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem, every_query
from imprint.models import evaluating, label_mask, token_losses
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Each row's mean loss a predicted token, in nats; the same for every query.

    Cost: one forward over the rows. Trust: not an estimate of influence; before a mechanism exists it can rank its training
    data as well as any method does (METHODS §2.5).
    """

    name: ClassVar[str] = "loss"
    needs_training: ClassVar[bool] = False
    batch: int = 64

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows."""
        means = []
        with torch.no_grad(), evaluating(problem.model):
            for start in range(0, len(problem.tokens), self.batch):
                chosen = slice(start, start + self.batch)
                tokens, lengths = (each[chosen].to(problem.model.device) for each in (problem.tokens, problem.lengths))
                losses = token_losses(problem.model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:]).double()
                means.append((losses * label_mask(lengths, losses.shape[1])).sum(1) / lengths.clamp(min=1))
                advance(len(tokens))
        return every_query(problem, torch.cat(means).cpu().numpy())
