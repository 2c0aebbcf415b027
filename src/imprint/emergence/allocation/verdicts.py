"""What a comparison says in words: who needs less compute, also where that is not our own policy, and whether ranks hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from imprint.emergence.allocation.comparison import OURS, Problem, saving
from imprint.emergence.allocation.replay import Recorded
from imprint.stats import Effect, spearman

Word = Literal["better", "worse", "undecided"]

PAIRS = (
    ("successive halving 3", "uniform (tokens)"),
    (OURS, "successive halving 3"),
    (OURS, "uniform (tokens)"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One policy against another on all problems."""

    policy: str
    against: str
    saving: Effect

    @property
    def word(self) -> Word:
        """Whether the policy needs less compute: "better" or "worse" only where the interval excludes 1."""
        if self.saving.low > 1:
            return "better"
        return "worse" if self.saving.high < 1 else "undecided"

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        interval = f"{self.saving.estimate:.2f} [{self.saving.low:.2f}, {self.saving.high:.2f}]"
        told = {
            "better": f"{self.policy} is better than {self.against} here",
            "worse": f"{self.against} is better than {self.policy} here",
            "undecided": f"{self.policy} and {self.against} cannot be told apart here",
        }[self.word]
        return f"{told}: {self.against} needs {interval} times its compute."


def compare(raced: pl.DataFrame, pairs: Sequence[tuple[str, str]] = PAIRS) -> list[Comparison]:
    """The named pairs, measured; nothing is assumed about who wins."""
    return [Comparison(policy=one, against=two, saving=saving(raced, one, two)) for one, two in pairs]


def rank_stability(world: Recorded, share: float = 0.25) -> float | None:
    """Spearman between the arms' scores at a `share` of their checkpoints and at their ends; None for under three arms.

    Near 1: early leaders win, and stopping the worst early is safe. Below 0: early leaders lose.
    """
    early = np.array([scores[max(0, round(share * len(scores)) - 1)] for scores in world.scores])
    late = np.array([scores[-1] for scores in world.scores])
    if len(early) < 3 or np.ptp(early) == 0 or np.ptp(late) == 0:
        return None
    return float(spearman(early, late))


def rank_sentence(solved: Sequence[Problem]) -> str:
    """Whether early ranks say who wins, over all tasks."""
    found = {one.task: rank_stability(one.world) for one in solved}
    known = [value for value in found.values() if value is not None]
    if not known:
        return "Too few arms to say whether early leaders win."
    mean = float(np.mean(known))
    told = "early leaders win" if mean > 0.5 else "early leaders lose" if mean < 0 else "early ranks say little"
    return f"Rank correlation of a quarter of the training with its end: {mean:.2f} ({told})."
