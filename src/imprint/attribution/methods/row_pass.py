"""One pass of the engine over a problem's rows: products with directions, and the rows' squared gradient norms."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from imprint.attribution.engine import query_gradients
from imprint.attribution.engine.scoring import score_pass
from imprint.attribution.methods.interface import Problem
from imprint.errors import SelfCheckFailed
from imprint.models import evaluating
from imprint.types import Advance, no_progress

Stacks = Sequence[Float[Tensor, "query _out _in"]]
"""One stack of directions a block."""


def gradients_of_queries(problem: Problem) -> list[Float[Tensor, "query _out _in"]]:
    """The gradient of every query in the subspace, a stack a block.

    Raises:
        SelfCheckFailed: one is zero or not finite.
    """
    with evaluating(problem.model):
        return query_gradients(problem.model, problem.subspace, problem.queries)


def row_pass(
    problem: Problem, directions: Stacks, *, norms: bool, batch: int, advance: Advance = no_progress
) -> tuple[Float64[np.ndarray, "query row"], Float64[np.ndarray, "row"]]:
    """- grad L(z) . v for every row z and every direction v, and |grad L(z)|^2 (zeros unless `norms`).

    Raises:
        SelfCheckFailed: a product is not finite.
    """
    with evaluating(problem.model):
        collected = score_pass(
            problem.model,
            problem.subspace,
            directions,
            problem.tokens,
            problem.lengths,
            by_token=False,
            norms=norms,
            batch=batch,
            advance=advance,
        )
    scores = torch.cat([piece.double().sum(1) for piece in collected.rows], dim=1)
    return finite(scores.numpy()), collected.gradient_norms().double().numpy()


def finite(scores: Float64[np.ndarray, "query row"]) -> Float64[np.ndarray, "query row"]:
    """The scores themselves.

    Raises:
        SelfCheckFailed: one is NaN or infinite.
    """
    bad = np.argwhere(~np.isfinite(scores))
    if len(bad):
        raise SelfCheckFailed(
            f"{len(bad)} attribution scores are not finite, the first is that of row {bad[0][1]}; look for a diverged"
            " checkpoint or a query that overflows"
        )
    return scores
