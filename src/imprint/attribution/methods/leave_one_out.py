"""Leave-one-out: the run repeated without each row, which is the answer that influence estimates."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imprint.attribution.methods.interface import Problem, recorded
from imprint.attribution.methods.row_pass import finite
from imprint.attribution.unrolled import leave_one_out
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaveOneOut:
    """f after the recorded run minus f after the same run with the row's loss masked, in the query's own unit.

    Exact: same initial weights, same order, the row's gradient left out and nothing else changed.
    Cost: one retraining a row, from the start of its stage through all later ones.
    Source: the protocol of Mechanistic Data Attribution (gradient masking).
    Trust: exact for removing *one* row of this very run; another seed gives other values (noise that only several runs show),
    and effects of single rows do not add up to that of a group.
    """

    name: ClassVar[str] = "leave-one-out"
    needs_training: ClassVar[bool] = True

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts retrainings, one a row."""
        training = recorded(problem, self.name)
        effects = leave_one_out(training, problem.queries, problem.stage, range(len(problem.tokens)), advance=advance)
        return finite(effects.double().cpu().numpy())
