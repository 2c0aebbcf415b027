"""A permutation test of conditions whose pipelines share their seeds: labels are shuffled within every seed."""

import math

import numpy as np

from imprint.stats.condition_permutation import ConditionPermutation
from imprint.stats.nest import Nest
from imprint.stats.two_way import crossed

_TIE = 1e-12
_AT_ONCE = 2_000


def blocked_permutation(nest: Nest, *, seed: int, draws: int = 20_000) -> ConditionPermutation:
    """The permutation p that conditions differ given the seed blocks: each seed's pipelines are shuffled over conditions.

    What a seed does to all conditions alike drops out of the statistic (the spread of condition means) and of its null.
    Monte Carlo, (b+1)/(draws+1).

    Raises:
        InputError: not every seed stands in every condition.

    Trust: needs seeds that fix something conditions share (base model, data order); otherwise `condition_permutation` has the
    same level and a little more power.
    """
    table = crossed(nest)
    centred = table - table.mean(0)
    seen = float((centred.mean(1) ** 2).sum()) * (1 - _TIE)
    conditions, blocks = table.shape
    rng, hits = np.random.default_rng(seed), 0
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        shuffled = rng.permuted(np.broadcast_to(centred, (size, conditions, blocks)), axis=1)
        hits += int(((shuffled.mean(2) ** 2).sum(1) >= seen).sum())
    ways = math.factorial(conditions) ** (blocks - 1)
    return ConditionPermutation(
        statistic="F",
        p=(hits + 1) / (draws + 1),
        exact=False,
        arrangements=ways,
        draws=draws,
        smallest_p=max(1 / ways, 1 / (draws + 1)),
        pipelines=table.size,
        note="shuffled within pipeline seeds, which all conditions share",
    )
