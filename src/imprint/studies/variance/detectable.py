"""What a design of K conditions with n pipelines each can see."""

from dataclasses import asdict, dataclass
from typing import Any

from imprint.stats import smallest_icc, smallest_range
from imprint.stats.condition_permutation import arrangements

POWER = 0.8
PLANNED = (2, 3, 5, 10)
"""Pipelines a condition for which every finding says what they would show."""
_MOST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Detectable:
    """The smallest effects that a design shows four times in five (power .8)."""

    conditions: int
    pipelines: int
    """A condition."""
    alpha: float
    icc: float
    """Share of a pipeline's variance that conditions must explain."""
    range_sds: float
    """Range of the true condition means in sd of a pipeline, all but two conditions in the middle (the hardest case)."""
    smallest_p: float
    """By permutation: no effect, however large, gives a smaller one."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def detectable(*, conditions: int, pipelines: int, alpha: float) -> Detectable:
    """What this design can see at level `alpha`.

    Raises:
        InputError: fewer than 2 conditions or pipelines, or `alpha` outside (0, 1).
    """
    return Detectable(
        conditions=conditions,
        pipelines=pipelines,
        alpha=alpha,
        icc=smallest_icc(conditions=conditions, pipelines=pipelines, power=POWER, alpha=alpha),
        range_sds=smallest_range(conditions=conditions, pipelines=pipelines, power=POWER, alpha=alpha),
        smallest_p=1 / arrangements([pipelines] * conditions),
    )


def fewest_pipelines(conditions: int, alpha: float) -> int:
    """How many pipelines a condition it takes for a permutation p of `alpha` to exist at all."""
    return next(n for n in range(2, _MOST) if arrangements([n] * conditions) >= 1 / alpha)
