"""Objectives: what a training example's loss is, per example and differentiable twice."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.models import log_probs_of


@runtime_checkable
class Objective(Protocol):
    """The loss of each training example of a stage; a batch's loss is sum_i w_i L_i / sum_i size_i."""

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """What each example adds to the denominator, whatever its weight: its predicted tokens, or 1."""
        ...

    def anchor(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch k"]:
        """Numbers that each example remembers from the model at the stage's start (k may be 0); differentiable."""
        ...

    def losses(
        self, model: PreTrainedModel, rows: Int[Tensor, "batch"], anchor: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch"]:
        """The loss of each example named in `rows`, summed over its tokens, in nats."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NextToken:
    """Next-token cross-entropy summed over a row's tokens; with `prompts`, over the answer's tokens only (SFT)."""

    tokens: Int[Tensor, "row seq_plus_1"]
    lengths: Int[Tensor, "row"]
    """Predicted tokens of each row; what lies beyond is padding."""
    prompts: Int[Tensor, "row"] | None = None
    """Leading predicted tokens of each row that carry no loss."""

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """The number of tokens that carry loss."""
        return _real(self.tokens, self.lengths, self.prompts).sum(1).float()

    def anchor(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch k"]:
        """Nothing is remembered."""
        return torch.zeros(len(rows), 0, device=model.device)

    def losses(
        self, model: PreTrainedModel, rows: Int[Tensor, "batch"], anchor: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch"]:
        """Minus the log-likelihood of each row."""
        prompts = None if self.prompts is None else self.prompts[rows]
        return -row_log_likelihood(model, self.tokens[rows], self.lengths[rows], prompts)


def row_log_likelihood(
    model: PreTrainedModel,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    prompts: Int[Tensor, "row"] | None = None,
) -> Float[Tensor, "row"]:
    """The log-probability of each row's tokens after its prompt, in nats; padding and prompt contribute nothing."""
    found = log_probs_of(model(tokens[:, :-1].to(model.device), use_cache=False).logits, tokens[:, 1:].to(model.device))
    return torch.where(_real(tokens, lengths, prompts).to(model.device), found, 0.0).sum(1)


def _real(tokens: Tensor, lengths: Tensor, prompts: Tensor | None) -> Tensor:
    """Which positions predict a token that counts."""
    positions = torch.arange(tokens.shape[1] - 1, device=tokens.device)[None, :]
    inside = positions < lengths[:, None]
    return inside if prompts is None else inside & (positions >= prompts[:, None])


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """Direct preference optimisation: -log sigmoid(beta (log-ratio of the chosen - log-ratio of the rejected answer)).

    The reference is the model at the stage's start, so its influence on the result also flows through the reference.
    Source: Rafailov et al. 2023, equation 7.
    """

    chosen: NextToken
    rejected: NextToken
    beta: float = 0.1

    def __post_init__(self) -> None:
        """Refuse answers that do not come in pairs."""
        if len(self.chosen.tokens) != len(self.rejected.tokens):
            raise ConfigError(
                f"a preference needs one rejected row for each chosen row, but there are {len(self.chosen.tokens)} and"
                f" {len(self.rejected.tokens)}; give them in pairs"
            )

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """One a pair."""
        return torch.ones(len(self.chosen.tokens))

    def anchor(self, model: PreTrainedModel, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch k"]:
        """The reference's log-probability of the chosen minus that of the rejected answer, in nats."""
        return self._margin(model, rows)[:, None]

    def losses(
        self, model: PreTrainedModel, rows: Int[Tensor, "batch"], anchor: Float[Tensor, "batch k"]
    ) -> Float[Tensor, "batch"]:
        """The loss of each pair."""
        return -torch.nn.functional.logsigmoid(self.beta * (self._margin(model, rows) - anchor[:, 0]))

    def _margin(self, model: PreTrainedModel, rows: Tensor) -> Float[Tensor, "batch"]:
        empty = torch.zeros(len(rows), 0)
        return self.rejected.losses(model, rows, empty) - self.chosen.losses(model, rows, empty)
