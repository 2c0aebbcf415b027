"""The members of the stack: trees and forests on the answer, trees on the score to come, processes on how it changes."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
from jaxtyping import Float
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.preprocessing import StandardScaler

from imprint.emergence.predictor.features import NAMES

Features = Float[np.ndarray, "question feature"]
Vector = Float[np.ndarray, "question"]
View = Callable[[Features], Features]
Member = Callable[[Features, Vector, Vector], Vector]
"""Features, thresholds and last scores of new questions to the probability that each ability is there."""

REACH = NAMES.index("reach")
FARTHEST = 4.0
"""Standard deviations beyond which a feature counts as that far and no farther."""
PROCESS_POINTS = 450
PROCESSES = 2
LEAST_SPREAD = 0.02
LARGEST_MARGIN = 0.6
"""Margins beyond this count as this: far above the threshold is far above."""
REFERENCE_REACH = 0.5
"""Decades at which the spread of the trees' errors is what it was on the examples; it grows as a random walk's."""
TREES: dict[str, Any] = {
    "n_estimators": 200,
    "learning_rate": 0.04,
    "subsample": 0.8,
    "subsample_freq": 1,
    "reg_lambda": 5.0,
    "n_jobs": 1,
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,
}
SMALL: dict[str, Any] = {"num_leaves": 6, "min_child_samples": 30, "colsample_bytree": 0.4}
FOREST: dict[str, Any] = {"n_estimators": 150, "min_samples_leaf": 8, "max_features": 0.5, "n_jobs": 1}
WIDEST = 50.0
"""Features beyond this count as this: a forest's random cuts between outliers would be lost."""
LARGE: dict[str, Any] = {"num_leaves": 15, "min_child_samples": 20, "colsample_bytree": 0.7}


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Questions with known answers.

    `weight` is how much each row counts, `question` tells which rows are the same question seen in several ways.
    """

    features: Features
    emerged: Vector
    z: Vector
    last: Vector
    threshold: Vector
    weight: Vector
    question: np.ndarray

    def __len__(self) -> int:
        """How many rows."""
        return len(self.emerged)

    def take(self, rows: np.ndarray) -> "Examples":
        """Some of them."""
        return Examples(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def scaled(self, factor: float) -> "Examples":
        """The same, counting more or less."""
        return replace(self, weight=self.weight * factor)


def joined(parts: Sequence[Examples]) -> Examples:
    """All rows of several sets; their questions stay apart."""
    starts = np.cumsum([0, *(int(part.question.max(initial=-1)) + 1 for part in parts)])
    moved = [replace(part, question=part.question + start) for part, start in zip(parts, starts, strict=False)]
    names = Examples.__dataclass_fields__
    return Examples(**{name: np.concatenate([getattr(part, name) for part in moved]) for name in names})


def boosted(
    examples: Examples, *, view: View, rising: Sequence[bool] | None, shape: dict[str, Any], seed: int
) -> Member:
    """Gradient-boosted trees on the answer; what is not known is a branch of its own.

    `rising` features can only raise the probability: a higher score, forecast or neighbour never speaks against emergence.
    """
    limits = None if rising is None else [int(up) for up in rising]
    model = lightgbm.LGBMClassifier(**TREES, **shape, random_state=seed, monotone_constraints=limits)
    model.fit(view(examples.features), examples.emerged.astype(int), sample_weight=examples.weight)
    return lambda features, threshold, last: np.asarray(model.predict_proba(view(features)))[:, 1]


def forest(examples: Examples, *, view: View, seed: int) -> Member:
    """Trees with random cuts on the answer: where boosting is sure, they average."""
    seen = view(examples.features)
    middle = _middle(seen)

    def filled(rows: Features) -> Features:
        return np.where(np.isnan(rows), middle, np.clip(rows, -WIDEST, WIDEST))

    model = ExtraTreesClassifier(**FOREST, random_state=seed)
    model.fit(filled(seen), examples.emerged.astype(int), sample_weight=examples.weight)
    return lambda features, threshold, last: np.asarray(model.predict_proba(filled(view(features))))[:, 1]


def boosted_margin(examples: Examples, *, view: View, rising: Sequence[bool], seed: int) -> Member:
    """Gradient-boosted trees on the score above the threshold, and a normal error around it."""
    margin = np.clip(examples.z - examples.threshold, -LARGEST_MARGIN, LARGEST_MARGIN)
    limits = [int(up) for up in rising]
    model = lightgbm.LGBMRegressor(**TREES, **SMALL, random_state=seed, monotone_constraints=limits)
    seen = view(examples.features)
    model.fit(seen, margin, sample_weight=examples.weight)
    error = np.average((np.asarray(model.predict(seen)) - margin) ** 2, weights=examples.weight)
    spread = max(1.15 * float(np.sqrt(error)), LEAST_SPREAD)

    def predict(features: Features, threshold: Vector, last: Vector) -> Vector:
        reach = np.clip(np.sqrt(features[:, REACH] / REFERENCE_REACH), 0.5, 1.5)
        return np.asarray(norm.sf(-np.asarray(model.predict(view(features))) / (spread * reach)))

    return predict


def processes(examples: Examples, *, view: View, seed: int) -> Member:
    """The mean of Gaussian processes on the change of the score, each fitted to other questions, seen in one way each."""
    generator = np.random.default_rng(seed)
    fitted = [_process(examples.take(_draw(examples, generator)), view, seed) for _ in range(PROCESSES)]
    return lambda features, threshold, last: np.mean([one(features, threshold, last) for one in fitted], axis=0)


def _draw(examples: Examples, generator: np.random.Generator) -> np.ndarray:
    """One row each of some questions, drawn by weight."""
    shuffled = generator.permutation(len(examples))
    _, first = np.unique(examples.question[shuffled], return_index=True)
    rows = shuffled[first]
    weight = examples.weight[rows]
    count = min(PROCESS_POINTS, int((weight > 0).sum()))
    return np.asarray(generator.choice(rows, count, replace=False, p=weight / weight.sum()))


def _process(chosen: Examples, view: View, seed: int) -> Member:
    scaled = _scaler(view(chosen.features))
    kernel = ConstantKernel(1.0) * RBF(5.0, (1e-1, 1e3)) + WhiteKernel(0.3)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a kernel parameter at its bound is no failure here
        model.fit(scaled(view(chosen.features)), chosen.z - chosen.last)

    def predict(features: Features, threshold: Vector, last: Vector) -> Vector:
        mean, sd = model.predict(scaled(view(features)), return_std=True)
        return np.asarray(norm.sf((threshold - last - mean) / np.maximum(sd, LEAST_SPREAD)))

    return predict


def _scaler(features: Features) -> View:
    """Fill what is not known with the median, standardise and clip, as these features have it."""
    middle = _middle(features)
    scaler = StandardScaler().fit(np.where(np.isnan(features), middle, features))
    return lambda new: np.clip(scaler.transform(np.where(np.isnan(new), middle, new)), -FARTHEST, FARTHEST)


def _middle(features: Features) -> Float[np.ndarray, "feature"]:
    """The median of every feature, 0 where nothing is known."""
    known = np.isfinite(features).any(0)
    middle = np.zeros(features.shape[1])
    middle[known] = np.nanmedian(features[:, known], 0)
    return middle
