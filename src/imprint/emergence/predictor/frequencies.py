"""How often such abilities emerge from such an origin to such a horizon: all there is to say where no curve is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from imprint.emergence.trajectories.curves import Curve, task_domains
from imprint.emergence.trajectories.questions import known_questions

WIDTH = 0.4
"""Decades within which another question's origin and horizon count as near."""
FAR = 1e-3
"""Weight of a question however far away, so that there is always an answer."""
MOST_QUESTIONS = 20000
PRIOR_CURVES = 4.0
"""The wider group counts as so many curves of the narrower one."""
LEAST = 0.003
MOST_CURVES = 20.0
"""However many curves there are, the next task or family may differ: the interval is as wide as after so many."""

Rows = Float[np.ndarray, "question"]


@dataclass(frozen=True, kw_only=True)
class Frequencies:
    """Every question that the history answers along one axis: its scales, its answer, and whose curve it is about."""

    origin: Rows
    horizon: Rows
    emerged: Rows
    curve: Int[np.ndarray, "question"]
    """Number of the curve."""
    task: np.ndarray
    domain: np.ndarray
    family: np.ndarray
    shots: Rows

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> "Frequencies":
        """Of all curves; only abilities that have not emerged by the origin are counted."""
        known = known_questions(curves, fewest=1, most=MOST_QUESTIONS)
        about = [curves[question.curve] for question in known]
        return cls(
            origin=np.array([curve.x[q.count - 1] for q, curve in zip(known, about, strict=True)], dtype=float),
            horizon=np.array([question.horizon for question in known], dtype=float),
            emerged=np.array([question.emerged for question in known], dtype=float),
            curve=np.array([question.curve for question in known], dtype=int),
            task=np.array([curve.task for curve in about], dtype=str),
            domain=np.array([curve.domain for curve in about], dtype=str),
            family=np.array([curve.family for curve in about], dtype=str),
            shots=np.array([curve.shots for curve in about], dtype=float),
        )

    def about(self, curves: Sequence[int]) -> "Frequencies":
        """Only the questions about these curves, or all where there is none."""
        chosen = np.isin(self.curve, np.asarray(curves, dtype=int))
        if not chosen.any():
            return self
        return Frequencies(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def at(
        self, *, task: str, family: str, shots: float | None, origin: float, horizon: float, without: int = -1
    ) -> tuple[float, float, float]:
        """Probability and 95 % interval; origin and horizon in log10, `without` the number of a curve to leave out.

        The share among all abilities at such scales is drawn towards that of the domain and then of the task; what the family
        differs from all is added as log odds.

        Trust: it knows nothing of the curve itself; beyond the history's scales it says what held at the last of them.
        """
        if not len(self.emerged):
            return 0.5, 0.0, 1.0
        near = np.where(self.curve == without, 0.0, self._near(origin, horizon))
        alike = np.ones(len(near), dtype=bool) if shots is None else self.shots == shots
        general, _ = self._share(near, np.ones(len(near), dtype=bool), 0.5)
        wider, _ = self._share(near, alike & (self.domain == self._domain(task)), general)
        own, count = self._share(near, alike & (self.task == task), wider)
        kin, _ = self._share(near, self.family == family, general)
        centre = _log_odds(own) + _log_odds(kin) - _log_odds(general)
        p = float(np.clip(1 / (1 + np.exp(-centre)), LEAST, 1 - LEAST))
        spread = 1.96 * float(np.sqrt(p * (1 - p) / (min(count, MOST_CURVES) + 1)))
        return p, max(p - spread, 0.0), min(p + spread, 1.0)

    def _near(self, origin: float, horizon: float) -> Rows:
        start = np.clip(origin, self.origin.min(), self.origin.max())
        end = np.clip(horizon, self.horizon.min(), self.horizon.max())
        apart = ((self.origin - start) / WIDTH) ** 2 + ((self.horizon - end) / WIDTH) ** 2
        return np.asarray(np.exp(-0.5 * apart) + FAR)

    def _share(self, near: Rows, chosen: Bool[np.ndarray, "question"], wider: float) -> tuple[float, float]:
        """Share of the chosen that emerge, every curve counting once at most, drawn to the wider group's; and how many."""
        if not chosen.any():
            return wider, 0.0
        curve, weight = self.curve[chosen], near[chosen]
        total = np.bincount(curve, weight)
        there = total > 0
        mean = np.bincount(curve, weight * self.emerged[chosen])[there] / total[there]
        counts = np.minimum(total[there], 1.0)
        count = float(counts.sum())
        return float((counts @ mean + PRIOR_CURVES * wider) / (count + PRIOR_CURVES)), count

    def _domain(self, task: str) -> str:
        """The domain of a task that may be new: that of the tasks it shares its first word with."""
        known = np.flatnonzero(self.task == task)
        if len(known):
            return str(self.domain[known[0]])
        return task_domains([*dict.fromkeys(self.task.tolist()), task])[task]


def _log_odds(p: float) -> float:
    kept = float(np.clip(p, LEAST, 1 - LEAST))
    return float(np.log(kept / (1 - kept)))
