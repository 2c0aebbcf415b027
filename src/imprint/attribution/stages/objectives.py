"""What a fine-tuning stage lowers, in the form that unrolling differentiates twice: any mask of learnt labels, any pairs."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.unrolled import Objective
from imprint.corpus.chat import PreferenceRows
from imprint.errors import ConfigError
from imprint.models import log_probs_of
from imprint.models.finetuning import FineTuning, PreferenceTuning, Supervised, SupervisedTuning, preference_losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Cross-entropy on the labels that are learnt, as `models.finetuning.Supervised`."""

    tokens: Int[Tensor, "row seq_plus_1"]
    label_mask: Bool[Tensor, "row seq"]

    @staticmethod
    def of(rows: Supervised) -> "Answers":
        """The same rows."""
        return Answers(tokens=rows.tokens, label_mask=rows.label_mask)

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """How many labels of each row are learnt."""
        return self.label_mask.sum(1).float()

    def anchor(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch k"]:
        """Nothing is remembered."""
        return torch.zeros(len(rows), 0, device=model.device)

    def losses(
        self, model: PreTrainedModel, rows: Int[Tensor, "batch"], anchor: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch"]:
        """The loss of each of these rows, in nats."""
        return -self.log_likelihood(model, rows)

    def log_likelihood(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """The log-probability of each row's learnt labels, in nats."""
        tokens, mask = self.tokens[rows].to(model.device), self.label_mask[rows].to(model.device)
        found = log_probs_of(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
        return torch.where(mask, found, 0.0).sum(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPairs:
    """Direct preference optimisation whose reference moves with the model that the stage starts from.

    Trust: the losses of `models.finetuning.Preferred`, where the reference is fixed; a derivative that takes it as fixed here
    too is wrong for every row of an earlier stage.
    """

    chosen: Answers
    rejected: Answers
    beta: float

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """One a pair."""
        return torch.ones(len(self.chosen.tokens))

    def anchor(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch k"]:
        """The reference's margins, in nats."""
        return self._margins(model, rows)[:, None]

    def losses(
        self, model: PreTrainedModel, rows: Int[Tensor, "batch"], anchor: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch"]:
        """The loss of each pair, in nats."""
        return preference_losses(self._margins(model, rows), anchor[:, 0], beta=self.beta)

    def _margins(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        return self.chosen.log_likelihood(model, rows) - self.rejected.log_likelihood(model, rows)


def objective_of(stage: FineTuning, rows: Path) -> Objective:
    """The objective of a stage on the rows that a step saved.

    Raises:
        ConfigError: a kind of stage whose loss is not known here.
    """
    if isinstance(stage, PreferenceTuning):
        pairs = PreferenceRows.load(rows)
        chosen, rejected = (Answers.of(Supervised.of(side)) for side in (pairs.chosen, pairs.rejected))
        return AnswerPairs(chosen=chosen, rejected=rejected, beta=stage.tuning.beta)
    if isinstance(stage, SupervisedTuning):
        return Answers.of(Supervised.load(rows))
    raise ConfigError(
        f"the loss of a {type(stage).__name__} is not known; give SupervisedTuning and PreferenceTuning stages"
    )
