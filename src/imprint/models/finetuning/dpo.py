"""Direct preference optimisation: the chosen answer's log-ratio to the reference above that of the rejected one."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from imprint.corpus.chat import PreferenceRows
from imprint.models.finetuning.objective import Tunable
from imprint.models.finetuning.sft import Supervised
from imprint.models.hooks import evaluating


def preference_losses(
    margins: Float[Tensor, "pair"], reference: Float[Tensor, "pair"], *, beta: float
) -> Float[Tensor, "pair"]:
    """-log sigmoid(beta (margin - reference margin)) in nats: log 2 where the model is the reference.

    A margin is log p(chosen | prompt) - log p(rejected | prompt). Source: Rafailov et al. 2023, equation 7.
    """
    return -logsigmoid(beta * (margins - reference))


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferred:
    """The DPO objective of a set of pairs, with the reference's margins, which never change.

    Trust: equals `attribution.unrolled.Preference`, whose anchor is the reference's margin.
    """

    chosen: Supervised
    rejected: Supervised
    reference: Float[Tensor, "pair"]
    beta: float

    @property
    def sizes(self) -> Float[Tensor, "pair"]:
        """One a pair."""
        return torch.ones(len(self.chosen.tokens))

    def losses(self, model: Tunable, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """The loss of each of these pairs, in nats."""
        found = margins(model, self.chosen, self.rejected, rows)
        return preference_losses(found, self.reference[rows].to(found), beta=self.beta)


def preferred(model: Tunable, pairs: PreferenceRows, *, beta: float, batch: int) -> Preferred:
    """The objective with this model as its reference; its margins are taken once, `batch` pairs at a time, without dropout."""
    chosen, rejected = Supervised.of(pairs.chosen), Supervised.of(pairs.rejected)
    with evaluating(model), torch.no_grad():
        reference = [
            margins(model, chosen, rejected, rows).cpu() for rows in torch.split(torch.arange(len(pairs)), batch)
        ]
    return Preferred(chosen=chosen, rejected=rejected, reference=torch.cat(reference), beta=beta)


def margins(
    model: Tunable, chosen: Supervised, rejected: Supervised, rows: Int[Tensor, "batch"]
) -> Float[Tensor, "batch"]:
    """Log p(chosen) - log p(rejected) of each of these pairs, summed over the answers' tokens, in nats."""
    return rejected.losses(model, rows) - chosen.losses(model, rows)
