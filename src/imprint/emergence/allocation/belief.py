"""What other tasks have taught about curves: the weight of every law, shape, ceiling, midpoint and kinship."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.emergence.allocation.curves import Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """Weights over the shared curve of a task, learned from the records of other tasks.

    Trust: other tasks must resemble the one that is allocated for; a share of the weight is the default prior's, so that what
    they never did stays possible.
    """

    span: Span
    """The laws, and the progress that counts as 0 and 1: that of the arms of the history."""
    log_ceilings: Float[np.ndarray, " place"]
    """Log chance-corrected heights of the rise, growing evenly; of the span's largest arm."""
    weights: Float[np.ndarray, "kinship shape place midpoint"]
    """Density over every combination, up to a constant."""
    tasks: tuple[str, ...]
    """The tasks that it was learned from."""

    def log_weights(
        self, heights: Float[np.ndarray, " ceiling"]
    ) -> Float[np.ndarray, "kinship shape ceiling midpoint"]:
        """The log weight at other heights of the rise, by interpolation between the learned ones."""
        gap = self.log_ceilings[1] - self.log_ceilings[0]
        place = np.clip((np.log(heights) - self.log_ceilings[0]) / gap, 0, len(self.log_ceilings) - 1)
        below = np.minimum(place.astype(int), len(self.log_ceilings) - 2)
        share = (place - below)[:, None]
        there = (1 - share) * self.weights[:, :, below] + share * self.weights[:, :, below + 1]
        return np.asarray(np.log(np.maximum(there, 1e-300)))
