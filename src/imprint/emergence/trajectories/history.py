"""The history a question may look at: curves indexed by line and by task, and the general skill of every line."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from imprint.emergence.trajectories.curves import Curve


@dataclass(frozen=True, kw_only=True, slots=True)
class Skill:
    """A line's mean chance-corrected score over its tasks at every scale, with the sums that leave one task out."""

    x: Float[np.ndarray, "scale"]
    total: Float[np.ndarray, "scale"]
    count: Float[np.ndarray, "scale"]
    emerged: Float[np.ndarray, "scale"]

    def without(self, curve: Curve) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
        """At the curve's points: mean score and share of emerged abilities over the line's other tasks (nan: no other)."""
        at = np.searchsorted(self.x, curve.x)
        others = self.count[at] - 1
        safe = np.maximum(others, 1)
        mean = np.where(others > 0, (self.total[at] - curve.z) / safe, np.nan)
        return mean, np.where(others > 0, (self.emerged[at] - curve.emerged) / safe, np.nan)


@dataclass(frozen=True, kw_only=True)
class History:
    """Curves by line and by task."""

    curves: tuple[Curve, ...]
    skills: dict[str, Skill] = field(repr=False)
    by_task: dict[tuple[str, str, float], tuple[Curve, ...]] = field(repr=False)
    domains: dict[tuple[str, str, float], Skill] = field(repr=False)
    """The same skill over the tasks of one domain, by line, domain and shots."""

    @classmethod
    def of(cls, curves: Iterable[Curve], *, asked: Iterable[Curve] = ()) -> "History":
        """Index the curves; `asked` are curves that questions are about and that teach nothing about their tasks."""
        known = tuple(curves)
        kept = (*known, *asked)
        lines: dict[str, list[Curve]] = defaultdict(list)
        tasks: dict[tuple[str, str, float], list[Curve]] = defaultdict(list)
        domains: dict[tuple[str, str, float], list[Curve]] = defaultdict(list)
        for curve in kept:
            lines[curve.line].append(curve)
            domains[(curve.line, curve.domain, curve.shots)].append(curve)
        for curve in known:
            tasks[(curve.axis, curve.task, curve.shots)].append(curve)
        return cls(
            curves=kept,
            skills={line: _skill(members) for line, members in lines.items()},
            by_task={key: tuple(members) for key, members in tasks.items()},
            domains={key: _skill(members) for key, members in domains.items()},
        )


def _skill(members: Sequence[Curve]) -> Skill:
    x = np.unique(np.concatenate([curve.x for curve in members]))
    total, count, emerged = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
    for curve in members:
        at = np.searchsorted(x, curve.x)
        np.add.at(total, at, curve.z)
        np.add.at(count, at, 1.0)
        np.add.at(emerged, at, curve.emerged.astype(float))
    return Skill(x=x, total=total, count=count, emerged=emerged)
