"""A sweep over damping: how much the ranking of rows depends on the one number that nobody knows beforehand."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.ekfac import BlockFactors
from imprint.attribution.engine.scoring import score_pass
from imprint.attribution.engine.subspace import Subspace

_ROWS = 256


def damping_sweep(
    model: PreTrainedModel,
    subspace: Subspace,
    factors: Sequence[BlockFactors],
    gradients: Sequence[Float[Tensor, "query _out _in"]],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    values: Sequence[float],
    *,
    batch: int = 16,
) -> dict[str, float]:
    """For each relative damping the mean Spearman over queries with the scores at the damping in use, on at most 256 rows.

    Keys are `damping/<value>`. Trust: agreement says how much the choice matters, not which value is right; only
    retraining says that, and the best value differed between models.
    """
    few = torch.linspace(0, len(tokens) - 1, min(len(tokens), _ROWS)).long()
    others = [[replace(block, damping_relative=value, damping_absolute=0.0) for block in factors] for value in values]
    stacks = [
        torch.cat([variant[n].precondition(piece) for variant in (factors, *others)])
        for n, piece in enumerate(gradients)
    ]
    passed = score_pass(model, subspace, stacks, tokens[few], lengths[few], by_token=False, norms=False, batch=batch)
    by_value = torch.cat(passed.rows, dim=2).sum(1).view(1 + len(values), len(gradients[0]), -1)
    return {
        f"damping/{value:g}": sum(float(spearmanr(*pair).statistic) for pair in zip(by_value[0], scores, strict=True))
        / len(scores)
        for value, scores in zip(values, by_value[1:], strict=True)
    }
