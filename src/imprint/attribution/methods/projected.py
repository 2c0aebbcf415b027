"""TRAK and TrackStar: projected gradients, whitened by their own second-moment matrix, averaged over an ensemble."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from imprint.attribution.methods.ensemble import Ensemble, ensemble_models
from imprint.attribution.methods.interface import Problem
from imprint.attribution.methods.row_features import gradient_features
from imprint.attribution.methods.row_pass import finite
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectedGradients:
    """- phi(z)^T (Phi^T Phi + damping)^-1 phi(f), with phi the randomly projected gradient; mean over an ensemble.

    Phi stacks the features of all rows. TRAK: plain gradients. TrackStar: gradients divided by Adam's denominator, and every
    whitened feature scaled to length one (scores are then cosines in [-1, 1]).
    Unit of the TRAK scores: the first-order effect on f of one copy of the row (a Gauss-Newton step of one row in n).
    Cost, per member: one forward-backward over the rows with a per-row matrix per block (two with `optimiser`), and n x k
    numbers for k features (dimension^2 a block).
    Source: Park et al. 2023 (TRAK; its margin output is replaced by the loss and the query as given, so its weights 1 - p are
    left out); Chang et al. 2024 (TrackStar; Phi^T Phi over all blocks together and of the training rows only).
    Trust: Phi^T Phi is an *empirical* Fisher of n rows; with fewer rows than features the damping decides the scores, and one
    member is noisy (LDS .13 to .18 where EK-FAC had .49): raise `members`, sweep `damping_relative`.

    Raises:
        ConfigError: an undamped matrix is singular (fewer rows than features), or the ensemble needs a recorded run.
    """

    name: str = "TRAK"
    dimension: int | None = 16
    """Side of each block's two-sided projection; None = no projection."""
    optimiser: bool = False
    unit_norm: bool = False
    damping_relative: float = 0.1
    """Added to Phi^T Phi, in units of its mean eigenvalue."""
    ensemble: Ensemble = "final"
    """The trained model alone ("final"), checkpoints of the recorded run, or models retrained on random halves ("subsets")."""
    members: int = 1
    """Models in the ensemble (of "final" there is one)."""
    batch: int = 64

    @property
    def needs_training(self) -> bool:
        """Whether the ensemble is made from the recorded run."""
        return self.ensemble != "final"

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts rows, once or twice a member."""
        total, count = torch.zeros(len(problem.queries), len(problem.tokens), dtype=torch.float64), 0
        for model in ensemble_models(problem, self.name, self.ensemble, self.members):
            rows, queries = gradient_features(
                problem,
                model,
                dimension=self.dimension,
                optimiser=self.optimiser,
                batch=self.batch,
                draw=count,
                advance=advance,
            )
            total -= whitened_products(rows, queries, self.damping_relative, unit_norm=self.unit_norm)
            count += 1
        return finite((total / count).numpy())


def whitened_products(
    rows: Float64[Tensor, "row feature"],
    queries: Float64[Tensor, "query feature"],
    damping_relative: float,
    *,
    unit_norm: bool = False,
) -> Float64[Tensor, "query row"]:
    """q^T M r with M = (R^T R + damping)^-1 for all queries q and rows r of R; with `unit_norm` the cosines under M.

    Works in whichever of rows and features is smaller.
    """
    few = rows.shape[0] < rows.shape[1]
    gram = rows @ rows.T if few else rows.T @ rows
    ridge = damping_relative * float(gram.trace()) / rows.shape[1]
    factor, failed = torch.linalg.cholesky_ex(gram + ridge * torch.eye(len(gram), dtype=gram.dtype))
    if bool(failed) or (few and ridge == 0):
        raise ConfigError(
            f"the second-moment matrix of {rows.shape[0]} rows in {rows.shape[1]} features is singular; raise"
            " damping_relative or lower the dimension"
        )
    if few:
        return _dual(rows, queries, gram, factor, ridge, unit_norm=unit_norm)
    left, right = (torch.linalg.solve_triangular(factor, side.T, upper=False).T for side in (queries, rows))
    return _normalised(left @ right.T, left.square().sum(1), right.square().sum(1)) if unit_norm else left @ right.T


def _dual(
    rows: Float64[Tensor, "row feature"],
    queries: Float64[Tensor, "query feature"],
    gram: Float64[Tensor, "row row"],
    factor: Float64[Tensor, "row row"],
    ridge: float,
    *,
    unit_norm: bool,
) -> Float64[Tensor, "query row"]:
    """The same through the rows' Gram matrix K: M R^T = R^T (K + ridge)^-1 (push-through identity)."""
    seen = queries @ rows.T
    products = torch.cholesky_solve(seen.T, factor).T
    if not unit_norm:
        return products
    own = torch.cholesky_solve(gram, factor).diagonal()
    return _normalised(products, (queries.square().sum(1) - (products * seen).sum(1)) / ridge, own)


def _normalised(
    products: Float64[Tensor, "query row"], queries: Float64[Tensor, "query"], rows: Float64[Tensor, "row"]
) -> Float64[Tensor, "query row"]:
    """Products over the two lengths, given squared; 0 for a row without a gradient."""
    cosines = products / (queries.clamp(min=0)[:, None] * rows.clamp(min=0)[None, :]).sqrt()
    return torch.where(rows[None, :] > 0, cosines, 0.0)
