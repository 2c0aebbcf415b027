"""The model, its bench and its scorers, opened once a process: every perturbation is scored on the same prepared items."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.capabilities import Bench, EvaluateModel, Scorer
from imprint.models import open_imported
from imprint.runs import Context


@dataclass(kw_only=True, slots=True)
class Session:
    """One model with one bench; a scorer for each block that interventions begin at, which keeps the states entering it."""

    key: str
    model: PreTrainedModel
    bench: Bench
    _scorers: dict[int, Scorer] = field(default_factory=dict)

    def scorer(self, layer: int) -> Scorer:
        """The scorer whose kept states enter this block; only the latest is held, because they take memory."""
        if layer not in self._scorers:
            self._scorers = {layer: self.bench.scorer(self.model, layer=layer)}
        return self._scorers[layer]

    def questions_of_rows(self, scorer: Scorer) -> Int[Tensor, "row"]:
        """The question that each row of a scorer belongs to."""
        owner = torch.tensor([number for number, group in enumerate(self.bench.groups) for _ in group])
        found = torch.zeros(sum(len(batch.rows) for batch in scorer.batches), dtype=torch.long)
        for batch in scorer.batches:
            found[batch.rows[batch.read_row].cpu()] = owner[batch.read_request.cpu()]
        return found

    def editable(self, scorer: Scorer) -> Bool[Tensor, "row position"] | None:
        """All tokens but the first of each row, whose huge state is the attention sink of most models; None = all.

        Whatever hits the sink breaks the model for reasons that have nothing to do with a cluster. Encoder-decoders have
        no sink, and rows of one token.
        """
        if scorer.objective == "seq2seq":
            return None
        return scorer.token_mask(lambda view: behind_the_first(view.mask))


def behind_the_first(mask: Bool[Tensor, "row position"]) -> Bool[Tensor, "row position"]:
    """The mask without its first position."""
    return mask & (torch.arange(mask.shape[1], device=mask.device) > 0)


_OPEN: list[Session] = []


def session(evaluation: EvaluateModel, context: Context) -> Session:
    """The session of an evaluation's model and items: the one that is open if it is of these, else a new one."""
    torch.set_num_threads(1)
    if not _OPEN or _OPEN[0].key != evaluation.key:
        model, tokenizer = open_imported(context.get(evaluation.model), evaluation.model.dtype)
        _OPEN[:] = [Session(key=evaluation.key, model=model, bench=evaluation.bench(model, tokenizer))]
    return _OPEN[0]
