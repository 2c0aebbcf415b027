"""The stack: members averaged, with an interval from how far they disagree."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from imprint.emergence.predictor.examples import USED
from imprint.emergence.predictor.members import Examples, Features, Member, Vector, boosted, linear, process

LEAST = 0.003
MEMBERS = {"boosted": boosted, "linear": linear, "process": process}


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Fitted members."""

    members: dict[str, Member] = field(repr=False)

    def predict(self, rows: Features, threshold: Vector, last: Vector) -> Float[np.ndarray, "question 3"]:
        """Probabilities with 95 % intervals."""
        said = np.stack(
            [*(member(rows, threshold, last) for member in self.members.values()), rows[:, USED.index("curve_p")]]
        )
        p = np.clip(said.mean(0), LEAST, 1 - LEAST)
        logits = np.log(np.clip(said, LEAST, 1 - LEAST) / (1 - np.clip(said, LEAST, 1 - LEAST)))
        half = 1.96 * np.sqrt(logits.var(0) / len(said) + 0.05)
        centre = np.log(p / (1 - p))
        return np.stack([p, 1 / (1 + np.exp(-(centre - half))), 1 / (1 + np.exp(-(centre + half)))], axis=1)


def fit_stack(found: Examples, *, seed: int) -> Stack:
    """Fit every member on all examples."""
    return Stack(members={name: fit(found, seed=seed) for name, fit in MEMBERS.items()})
