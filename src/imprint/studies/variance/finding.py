"""`VarianceFinding`: what a table of outcomes says about its conditions, beside their pipelines."""

from dataclasses import dataclass
from typing import Any, Literal

from imprint.stats import (
    Component,
    ConditionPermutation,
    OneWay,
    PublishedCheck,
    RangeRatio,
    TwoWay,
    Undefined,
)
from imprint.studies.variance.conditions import Condition
from imprint.studies.variance.detectable import Detectable

VarianceVerdict = Literal["differ", "no sign", "cannot tell"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VarianceFinding:
    """Do conditions differ beyond their pipelines in one metric? Every estimate, and the answer in one sentence."""

    metric: str
    verdict: VarianceVerdict
    """By the permutation of whole pipelines at `alpha`."""
    answer: str
    alpha: float
    seed: int
    values: int
    """Numbers that were read, items averaged."""
    sd_within: float | Undefined
    """Of a pipeline around its condition's mean, in units of the metric."""
    conditions: tuple[Condition, ...]
    one_way: OneWay | Undefined
    two_way: TwoWay | Undefined
    """Where all conditions share their pipeline seeds."""
    components: tuple[Component, ...]
    permutation: ConditionPermutation | Undefined
    range_ratio: RangeRatio | Undefined
    detectable: Detectable | Undefined
    """What this design sees."""
    plans: tuple[Detectable, ...]
    """What other numbers of pipelines would see."""
    published: tuple[PublishedCheck, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def p(self) -> float | None:
        """The permutation p that the verdict rests on; None where the design has none."""
        return None if isinstance(self.permutation, Undefined) else self.permutation.p

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.as_dict() if hasattr(value, "as_dict") else value
