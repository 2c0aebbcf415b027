"""Choosing a data mixture from small proxies (RegMix, Liu et al. 2025, 2407.01492): regress loss on mixture, rank candidates.

Trust: assumes that mixtures rank alike at the proxies' scale and at the target's; `transfer` measures how far they do.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from imprint.errors import ConfigError
from imprint.stats import Effect, spearman

LEAST_PROXIES = 20
_DRAWS = 1000
_FOLDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxies:
    """Small runs: the mixture that each was trained on, and its losses.

    Raises:
        ConfigError: lengths differ, too few runs, or a mixture is not one of shares.
    """

    mixtures: Float[np.ndarray, "run domain"]
    """Shares of the training data, which sum to 1 in every run."""
    losses: Float[np.ndarray, "run loss"]

    def __post_init__(self) -> None:
        """Refuse what no regression could learn from."""
        if len(self.mixtures) != len(self.losses):
            raise ConfigError(
                f"{len(self.mixtures)} mixtures do not fit {len(self.losses)} losses: give one each a run"
            )
        if len(self.mixtures) < LEAST_PROXIES:
            raise ConfigError(f"{len(self.mixtures)} proxies are too few to learn from: give {LEAST_PROXIES} or more")
        if self.mixtures.min() < 0 or np.abs(self.mixtures.sum(1) - 1).max() > 0.05:
            raise ConfigError("mixtures must be shares that are not negative and sum to 1 in every run")


def _features(mixtures: Float[np.ndarray, "run domain"]) -> Float[np.ndarray, "run feature"]:
    """Shares, their roots and their logs: a little of a domain helps much more than more of it."""
    return np.hstack([mixtures, np.sqrt(mixtures), np.log(mixtures + 1e-3)])


def predict_losses(
    proxies: Proxies, candidates: Float[np.ndarray, "candidate domain"], *, seed: int = 0
) -> Float[np.ndarray, "candidate loss"]:
    """Each loss of every candidate mixture at the proxies' scale.

    Boosted trees, a Gaussian process or their mean: whichever has the least squared error on held-out proxies, loss by loss.

    Raises:
        ConfigError: the candidates have other domains than the proxies.
    """
    if candidates.shape[1] != proxies.mixtures.shape[1]:
        raise ConfigError(
            f"candidates of {candidates.shape[1]} domains do not fit proxies of {proxies.mixtures.shape[1]} domains"
        )
    columns = [_predict(proxies.mixtures, losses, candidates, seed) for losses in proxies.losses.T]
    return np.stack(columns, axis=1)


def _predict(
    mixtures: Float[np.ndarray, "run domain"],
    losses: Float[np.ndarray, " run"],
    candidates: Float[np.ndarray, "candidate domain"],
    seed: int,
) -> Float[np.ndarray, " candidate"]:
    folds = KFold(_FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A kernel parameter at its bound says that a loss is all noise or has none, which the comparison below settles.
        warnings.simplefilter("ignore", ConvergenceWarning)
        held_out = _both([cross_val_predict(model, mixtures, losses, cv=folds) for model in _models(seed)])
        predicted = _both([model.fit(mixtures, losses).predict(candidates) for model in _models(seed)])
    best = int(((held_out - losses) ** 2).mean(1).argmin())
    return np.asarray(predicted[best])


def _models(seed: int) -> list[Any]:
    """Boosted trees and a Gaussian process, unfitted."""
    trees = HistGradientBoostingRegressor(
        max_iter=400, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
    )
    process = GaussianProcessRegressor(
        ConstantKernel(1.0) * RBF(5.0) + WhiteKernel(0.1), normalize_y=True, random_state=seed
    )
    return [trees, make_pipeline(FunctionTransformer(_features), StandardScaler(), process)]


def _both(predicted: list[Float[np.ndarray, " run"]]) -> Float[np.ndarray, "model run"]:
    """The predictions of either model, and their mean."""
    return np.stack([*predicted, np.mean(predicted, axis=0)])


def best_mixtures(
    predicted: Float[np.ndarray, "candidate loss"], weights: Float[np.ndarray, " loss"] | None = None
) -> Int[np.ndarray, " candidate"]:
    """The candidates from the least weighted mean loss up."""
    return np.argsort(np.average(predicted, axis=1, weights=weights), kind="stable")


def transfer(
    predicted: Float[np.ndarray, " candidate"], measured: Float[np.ndarray, " candidate"], *, seed: int = 0
) -> Effect:
    """Spearman between predicted and measured losses, with its bootstrap interval over candidate runs."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(predicted), size=(_DRAWS, len(predicted)))
    low, high = np.quantile([spearman(predicted[rows], measured[rows]) for rows in drawn], (0.025, 0.975))
    return Effect(
        estimate=spearman(predicted, measured),
        low=float(low),
        high=float(high),
        n=len(predicted),
        unit="run",
        control="0",
        metric="Spearman of predicted and measured loss",
    )
