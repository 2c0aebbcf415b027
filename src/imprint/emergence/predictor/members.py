"""The members of the stack: boosted trees, a linear model, and a Gaussian process on the score to come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from jaxtyping import Float
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

Features = Float[np.ndarray, "question feature"]
Vector = Float[np.ndarray, "question"]
Member = Callable[[Features, Vector, Vector], Vector]
"""Features, thresholds and last scores of new questions to the probability that each ability is there."""

FARTHEST = 4.0
"""Standard deviations beyond which a feature counts as that far and no farther."""
PROCESS_POINTS = 400
LEAST_SPREAD = 0.02
TREES: dict[str, Any] = {
    "n_estimators": 150,
    "learning_rate": 0.04,
    "num_leaves": 6,
    "min_child_samples": 30,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.4,
    "reg_lambda": 5.0,
    "n_jobs": 1,
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,
}


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Questions with known answers; `weight` is how much each counts, `group` what must not be split (the task)."""

    features: Features
    emerged: Vector
    z: Vector
    last: Vector
    threshold: Vector
    weight: Vector
    group: np.ndarray

    def __len__(self) -> int:
        """How many."""
        return len(self.emerged)

    def take(self, rows: np.ndarray) -> "Examples":
        """Some of them."""
        return Examples(
            features=self.features[rows],
            emerged=self.emerged[rows],
            z=self.z[rows],
            last=self.last[rows],
            threshold=self.threshold[rows],
            weight=self.weight[rows],
            group=self.group[rows],
        )


def boosted(examples: Examples, *, seed: int) -> Member:
    """Gradient-boosted trees on the answer; not-known features are a branch of their own."""
    model = lightgbm.LGBMClassifier(**TREES, random_state=seed)
    model.fit(examples.features, examples.emerged.astype(int), sample_weight=examples.weight)
    return lambda features, threshold, last: np.asarray(model.predict_proba(features))[:, 1]


def linear(examples: Examples, *, seed: int) -> Member:
    """Logistic regression on standardised, clipped features."""
    scaled = _scaler(examples.features)
    model = LogisticRegression(C=0.02, max_iter=500, random_state=seed)
    model.fit(scaled(examples.features), examples.emerged.astype(int), sample_weight=examples.weight)
    return lambda features, threshold, last: np.asarray(model.predict_proba(scaled(features)))[:, 1]


def process(examples: Examples, *, seed: int) -> Member:
    """A Gaussian process on the change of the score, and from it the chance that the score passes the threshold."""
    generator = np.random.default_rng(seed)
    share = examples.weight / examples.weight.sum()
    count = min(PROCESS_POINTS, int((share > 0).sum()))
    chosen = examples.take(generator.choice(len(examples), count, replace=False, p=share))
    scaled = _scaler(chosen.features)
    kernel = ConstantKernel(1.0) * RBF(5.0, (1e-1, 1e3)) + WhiteKernel(0.3)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    _quietly(model, scaled(chosen.features), chosen.z - chosen.last)

    def predict(features: Features, threshold: Vector, last: Vector) -> Vector:
        mean, sd = model.predict(scaled(features), return_std=True)
        return np.asarray(norm.sf((threshold - last - mean) / np.maximum(sd, LEAST_SPREAD)))

    return predict


def _quietly(model: Any, features: Features, target: Vector) -> None:
    """Fit; a kernel parameter at its bound is no failure here."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, target)


def _scaler(features: Features) -> Callable[[Features], Features]:
    """Fill what is not known with the median, standardise and clip, as these features have it."""
    known = np.isfinite(features).any(0)
    middle = np.zeros(features.shape[1])
    middle[known] = np.nanmedian(features[:, known], 0)
    scaler = StandardScaler().fit(np.where(np.isnan(features), middle, features))
    return lambda new: np.clip(scaler.transform(np.where(np.isnan(new), middle, new)), -FARTHEST, FARTHEST)
