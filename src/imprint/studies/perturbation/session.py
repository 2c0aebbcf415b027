"""The model, its bench and its scorers, opened once a process: every perturbation is scored on the same prepared items."""

from dataclasses import dataclass, field

import torch
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


_OPEN: list[Session] = []


def session(evaluation: EvaluateModel, context: Context) -> Session:
    """The session of an evaluation's model and items: the one that is open if it is of these, else a new one."""
    torch.set_num_threads(1)
    if not _OPEN or _OPEN[0].key != evaluation.key:
        model, tokenizer = open_imported(context.get(evaluation.model), evaluation.model.dtype)
        _OPEN[:] = [Session(key=evaluation.key, model=model, bench=evaluation.bench(model, tokenizer))]
    return _OPEN[0]
