"""How many subset retrainings datamodels need: the recovery that a number of runs buys in an additive world."""

import math

from imprint.errors import ConfigError


def expected_recovery(runs: int, rows: int, noise: float, fraction: float = 0.5) -> float:
    """The expected correlation between true and estimated row effects after `runs` retrainings on random subsets.

    The world: f(S) = sum of the effects of the rows in S, plus noise whose standard deviation is `noise` times that of the row
    effects; each row is in S with probability `fraction`. Least squares with an intercept: with more than rows + 2 runs an
    effect's error variance is noise^2 / (fraction (1 - fraction) (runs - rows - 2)); with fewer, the minimum-norm solution sees
    (runs - 1) / rows of the effects' variance, and what the noise takes from that is left out.
    Source: METHODS AT-IF-6 (400 runs, 100 rows, noise 0, 5, 20: 1.000, .874, .411 in one draw; here 1.000, .865, .396).
    Trust: training is not additive; what it adds to a sum of effects counts as noise.
    """
    free = runs - rows - 2
    if free > 0:
        return 1 / math.sqrt(1 + noise**2 / (fraction * (1 - fraction) * free))
    return math.sqrt(max(runs - 1, 0) / rows)


def runs_needed(rows: int, recovery: float, additive_share: float) -> int:
    """The fewest retrainings whose expected recovery is at least `recovery`, of `expected_recovery`'s formula.

    `additive_share` is the share of the variance of f over random subsets that a sum of row effects explains (R^2). Then
    noise^2 = rows x fraction (1 - fraction) x (1 - share) / share, and the fraction cancels:
    runs = rows + 2 + rows x (1 - share) / share x recovery^2 / (1 - recovery^2).

    >>> runs_needed(100, recovery=0.7, additive_share=0.5)
    199
    """
    if not (0 < recovery < 1 and 0 < additive_share <= 1):
        raise ConfigError(
            f"a recovery between 0 and 1 and an additive share above 0 and at most 1 can be planned for, not {recovery} and"
            f" {additive_share}"
        )
    odds = (1 - additive_share) / additive_share * recovery**2 / (1 - recovery**2)
    return rows + 2 + max(math.ceil(rows * odds), 1)
