"""Leave-one-out by retraining: the exact effect that metagradients predict to first order."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.attribution.engine.queries import Query
from imprint.attribution.unrolled.training import Training
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress


def leave_one_out(
    training: Training,
    queries: Sequence[Query],
    stage: int,
    rows: Sequence[int],
    *,
    advance: Advance = no_progress,
) -> Float[Tensor, "query row"]:
    """For every example of `rows` the query with it minus the query without it, all stages after it retrained.

    Positive = training on the example raises the query. "Without" masks its loss and leaves the order of all others as it
    was. One retraining from the stage's start per example; `advance` hears of each.
    Trust: exact for this seed and order; other seeds differ by the noise of training, which this does not show.

    Raises:
        ConfigError: there is no query, or the stage has no such example.
        SelfCheckFailed: a run diverges.
    """
    recipe = training.stages[stage]
    if not queries:
        raise ConfigError("there is no query to attribute; give at least one")
    if outside := [row for row in rows if not 0 <= row < recipe.rows]:
        raise ConfigError(f"stage '{recipe.name}' has {recipe.rows} examples, so it has no example {outside[0]}")
    start = training.start_of(stage)
    whole = training.values(training.run_from(stage, start), queries)
    effects = []
    for row in rows:
        weights: list[Tensor | None] = [None] * len(training.stages)
        weights[stage] = torch.ones(recipe.rows).index_fill_(0, torch.tensor([row]), 0.0)
        effects.append(whole - training.values(training.run_from(stage, start, weights), queries))
        advance(1)
    return torch.stack(effects, dim=1) if effects else whole.new_zeros(len(queries), 0)
