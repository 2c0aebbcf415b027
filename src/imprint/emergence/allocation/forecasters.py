"""Forecasters that bound what any can do: one that knows the answer, one that knows nothing."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.arms import Arm, Ledger
from imprint.emergence.allocation.freeze_thaw import Caution, Forecaster, freeze_thaw
from imprint.emergence.allocation.replay import PolicyMaker, Recorded


class KnownAnswer:
    """Forecasts with certainty when each recorded arm crosses."""

    def __init__(self, world: Recorded) -> None:
        """Look the answer up in this world."""
        self.world = world

    def crossed_by(self, ledger: Ledger) -> Sequence[Float[np.ndarray, " _"]]:
        """1 from the depth at which the arm crosses, 0 before."""
        firsts = [self.world.first_crossing(arm, ledger.target) for arm in range(len(ledger.arms))]
        return [
            np.zeros(arm.depth) if first is None else (np.arange(1, arm.depth + 1) >= first).astype(np.float64)
            for arm, first in zip(ledger.arms, firsts, strict=True)
        ]

    def any_crosses(self, ledger: Ledger) -> float:
        """1 if an arm crosses within the remaining budget, else 0."""
        firsts = [self.world.first_crossing(arm, ledger.target) for arm in range(len(ledger.arms))]
        return float(any(first is not None and first <= ledger.reach(arm) for arm, first in enumerate(firsts)))


class Noise:
    """Forecasts drawn at random once, never updated, always sure that something crosses."""

    def __init__(self, arms: Sequence[Arm], seed: int) -> None:
        """Draw them."""
        rng = np.random.default_rng(seed)
        self.drawn = [np.sort(rng.random(arm.depth)) for arm in arms]

    def crossed_by(self, ledger: Ledger) -> Sequence[Float[np.ndarray, " _"]]:
        """What was drawn."""
        return self.drawn

    def any_crosses(self, ledger: Ledger) -> float:
        """Always 1."""
        return 1.0


def oracle(world: Recorded) -> PolicyMaker:
    """Freeze-thaw with the answer: it pays what the cheapest crossing arm costs, and stops at once where none crosses."""

    def known(arms: Sequence[Arm], seed: int) -> Forecaster:
        return KnownAnswer(world)

    return freeze_thaw(known, caution=Caution(distrust=1e-300, abstain_below=0.5, see_ends_first=False))


def guesser(caution: Caution | None = None) -> PolicyMaker:
    """Freeze-thaw on noise: what is left when the forecaster is worth nothing."""
    return freeze_thaw(Noise, caution=caution)
