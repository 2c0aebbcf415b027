"""Baselines of the emergence benchmark: the prototypes of the reference, each learned from the same known curves.

The reference's curve prior reads the standard error of the score at the horizon, which is computed from that score: it
leaks the answer. Here every baseline uses the error at the origin; the leaking two are kept, marked, to show what it does.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import lightgbm
import numpy as np
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from benchmarks.emergence_cells import Cell, Fold
from imprint.emergence.predictor.curve_posterior import CurvePrior, fit_prior, forecast
from imprint.emergence.trajectories import Curve, History, Question, first_points, known_questions

MOST = 6000
LEAKING = ("curve prior (leaks)", "trees + curve prior (leaks)")
ZLAST, LINE3, THRESHOLD = 7, 14, 19


def baselines(cell: Cell, fold: Fold, *, seed: int = 0) -> dict[str, np.ndarray]:
    """What every baseline says about the fold's questions."""
    learned = known_questions(fold.known, fewest=cell.fewest, steps=cell.steps, most=MOST, seed=seed)
    known, asked = History.of(fold.known), History.of(fold.curves)
    x, new = _rows(known, fold.known, learned), _rows(asked, fold.curves, fold.asked)
    y = np.array([question.emerged for question in learned], dtype=int)
    if y.sum() < 5:
        return {}
    prior = replace(fit_prior([curve for curve in fold.known if len(curve) > 1], seed=seed), by_domain={})
    change = np.array([question.z for question in learned]) - x[:, ZLAST]
    found = {"base rate": np.full(len(fold.asked), y.mean())}
    found["persistence"] = _logistic(x[:, [ZLAST]], y, new[:, [ZLAST]])
    margins = [np.clip(part[:, [LINE3]] - part[:, [THRESHOLD]], -2, 2) for part in (x, new)]
    found["line"] = _logistic(margins[0], y, margins[1])
    found["logistic"] = _logistic(x, y, new, quantiles=True)
    found["trees"] = _trees(x, y, new, seed)
    found["process"] = _process(x, change, new)
    for leaks in (False, True):
        said = [_posterior(prior, c, q, leaks) for c, q in ((fold.known, learned), (fold.curves, fold.asked))]
        mark = " (leaks)" if leaks else ""
        found[f"curve prior{mark}"] = said[1][:, 0]
        found[f"trees + curve prior{mark}"] = _trees(np.c_[x, said[0]], y, np.c_[new, said[1]], seed)
        if not leaks:
            best = [part[:, [2]] - rows[:, [THRESHOLD]] for part, rows in zip(said, (x, new), strict=True)]
            found["best sigmoid"] = _logistic(best[0], y, best[1])
    return found


def _rows(history: History, curves: Sequence[Curve], questions: Sequence[Question]) -> np.ndarray:
    """The reference's 21 features."""
    found = []
    for question in questions:
        curve = first_points(curves[question.curve], question.count)
        x, z, k = curve.x, curve.z, len(curve)
        skill = np.nan_to_num(history.skills[curve.line].without(curve)[0])
        near = min(3, k)
        weight = np.sqrt(1 / (curve.se**2 + 0.01**2))
        design = np.c_[np.ones(k), x - x.mean()] * weight[:, None]
        level, slope = np.linalg.lstsq(design, z * weight, rcond=None)[0]
        recent, skills = np.polyfit(x[-near:], z[-near:], 1), np.polyfit(x[-near:], skill[-near:], 1)
        h = question.horizon
        own = [
            curve.chance,
            curve.shots,
            curve.items,
            k,
            x[-1],
            h,
            h - x[-1],
            z[-1],
            z.max(),
            z.mean(),
            z[-near:].mean(),
        ]
        lines = [slope, recent[0], level + slope * (h - x.mean()), recent[0] * h + recent[1], curve.se[-1]]
        found.append([*own, *lines, skill[-1], skills[0], skills[0] * h + skills[1], curve.threshold[-1], 0.0])
    return np.array(found, dtype=float).reshape(len(questions), 21)


def _posterior(prior: CurvePrior, curves: Sequence[Curve], questions: Sequence[Question], leaks: bool) -> np.ndarray:
    """Probability, mean and best fit; when leaking, with the standard error that the score to come has."""
    found = []
    for question in questions:
        curve = curves[question.curve]
        seen = first_points(curve, question.count)
        at = int(np.argmin(np.abs(curve.x - question.horizon)))
        error = float(curve.se[at] if leaks else seen.se[-1])
        said = forecast(prior, seen, [question.horizon], threshold=float(seen.threshold[-1]), error=error)[0]
        found.append((said.p, said.mean, said.best))
    return np.array(found, dtype=float).reshape(len(questions), 3)


def _logistic(x: np.ndarray, y: np.ndarray, new: np.ndarray, *, quantiles: bool = False) -> np.ndarray:
    scaler = (
        QuantileTransformer(n_quantiles=min(200, len(x)), output_distribution="normal")
        if quantiles
        else StandardScaler()
    )
    model = make_pipeline(scaler, LogisticRegression(C=0.3 if quantiles else 10, max_iter=500))
    return np.asarray(model.fit(x, y).predict_proba(new))[:, 1]


def _trees(x: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> np.ndarray:
    model = lightgbm.LGBMClassifier(
        n_estimators=200,
        learning_rate=0.04,
        num_leaves=15,
        min_child_samples=20,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.7,
        reg_lambda=5,
        n_jobs=1,
        verbose=-1,
        random_state=seed,
    )
    return np.asarray(model.fit(x, y).predict_proba(new))[:, 1]


def _process(x: np.ndarray, change: np.ndarray, new: np.ndarray) -> np.ndarray:
    rows = np.random.default_rng(1).choice(len(x), min(300, len(x)), replace=False)
    scaler = StandardScaler().fit(x[rows])
    scaled: Callable[[np.ndarray], np.ndarray] = lambda part: np.clip(scaler.transform(part), -4, 4)  # noqa: E731
    kernel = ConstantKernel(1.0) * RBF(5.0, (1e-1, 1e3)) + WhiteKernel(0.3)
    model = GaussianProcessRegressor(kernel, normalize_y=True).fit(scaled(x[rows]), change[rows])
    mean, sd = model.predict(scaled(new), return_std=True)
    return np.asarray(norm.sf((new[:, THRESHOLD] - mean - new[:, ZLAST]) / np.maximum(sd, 1e-3)))
