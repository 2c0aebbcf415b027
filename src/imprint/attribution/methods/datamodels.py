"""Datamodels: the recorded run repeated on random subsets, and the query regressed on which rows were in."""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from sklearn.linear_model import LassoCV, RidgeCV

from imprint.attribution.methods.interface import Problem, recorded
from imprint.attribution.methods.power import runs_needed
from imprint.attribution.methods.retraining import random_subsets, retrainer
from imprint.attribution.methods.row_pass import finite
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress

FOLDS = 5
_LASSO, _RIDGE = np.geomspace(1.0, 1e-4, 25), np.geomspace(1e2, 1e-6, 17)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Datamodels:
    """Weights w of f(S) ~ w . 1_S + b over random subsets S of the rows, by lasso or by ridge: whichever predicts better.

    Unit: query units, the mean effect of a row's being in the training set when a random part of the others is. Cost: one
    retraining a subset; without `runs` as many as `runs_needed` says for the `recovery` and `additive_share` given.
    Source: Ilyas et al. 2022.
    Trust: the only method here that assumes nothing about curvature; but it is noisy below about one run a row (recovery .72 with
    60 runs for 100 rows even without noise, METHODS AT-IF-6), and an effect that lasso sets to 0 is not a proven 0. The
    out-of-fold R^2 is logged: where it is far below `additive_share`, more runs are needed than were planned.
    """

    name: ClassVar[str] = "datamodels"
    needs_training: ClassVar[bool] = True
    runs: int | None = None
    recovery: float = 0.7
    """The correlation with the true effects that the number of runs is planned for."""
    additive_share: float = 0.5
    """The share of f's variance over subsets that a sum of row effects is taken to explain."""
    fraction: float = 0.5
    """The probability that a row is in a subset."""

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """See `Method.scores`; `advance` counts retrainings."""
        rows = len(problem.tokens)
        runs = runs_needed(rows, self.recovery, self.additive_share) if self.runs is None else self.runs
        masks = random_subsets(runs, rows, self.fraction, problem.seed)
        training, retrain = recorded(problem, self.name), retrainer(problem, self.name)
        outcomes = []
        for mask in masks:
            outcomes.append(training.values(retrain(mask), problem.queries).double().cpu().numpy())
            advance(1)
        weights, shares = fit_datamodels(masks, np.stack(outcomes))
        _log.info("datamodels: out-of-fold R^2 by query %s after %d runs", shares.round(3).tolist(), runs)
        return finite(weights)


def fit_datamodels(
    masks: Float64[np.ndarray, "run row"], outcomes: Float64[np.ndarray, "run query"]
) -> tuple[Float64[np.ndarray, "query row"], Float64[np.ndarray, "query"]]:
    """Every query's weights, and the out-of-fold R^2 of the fit that was chosen.

    Lasso where few rows matter, ridge where many do: in the dense world of METHODS AT-IF-6 (five draws) ridge recovers .87 at
    noise 5 and .75 from 60 runs where lasso has .85 and .57.

    Raises:
        ConfigError: fewer runs than folds of the cross-validation.
    """
    if len(masks) < FOLDS:
        raise ConfigError(
            f"datamodels choose their penalty by {FOLDS}-fold cross-validation, so {len(masks)} runs are too few"
        )
    fits = [_fit(masks, outcome) for outcome in outcomes.T]
    return np.stack([weights for weights, _ in fits]), np.array([share for _, share in fits])


def _fit(
    masks: Float64[np.ndarray, "run row"], outcome: Float64[np.ndarray, "run"]
) -> tuple[Float64[np.ndarray, "row"], float]:
    spread = float(outcome.std())
    if spread <= 1e-12 * float(np.abs(outcome).max()):
        return np.zeros(masks.shape[1]), 0.0
    scaled = (outcome - outcome.mean()) / spread
    largest = np.abs((masks - masks.mean(0)).T @ scaled).max() / len(masks)
    lasso = LassoCV(alphas=largest * _LASSO, cv=FOLDS, max_iter=20_000).fit(masks, scaled)
    ridge = RidgeCV(alphas=len(masks) * masks.var() * _RIDGE, cv=FOLDS, scoring="neg_mean_squared_error").fit(
        masks, scaled
    )
    errors = float(lasso.mse_path_.mean(axis=1).min()), -float(ridge.best_score_)
    chosen = lasso if errors[0] < errors[1] and lasso.coef_.any() else ridge
    return np.asarray(chosen.coef_ * spread, dtype=np.float64), 1 - errors[chosen is ridge]
