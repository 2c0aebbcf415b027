"""From curves to examples: every question that a history answers, with features that saw nothing beyond its origin."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.emergence.predictor.curve_posterior import CurvePrior, fit_prior, forecast
from imprint.emergence.predictor.features import NAMES, Sight, question_features
from imprint.emergence.predictor.leakage import require_past
from imprint.emergence.predictor.members import Examples
from imprint.emergence.trajectories.curves import Curve, first_points
from imprint.emergence.trajectories.history import History
from imprint.emergence.trajectories.questions import Question, known_questions

FOLDS = 4
POSTERIOR = ("curve_p", "curve_margin", "curve_sd", "curve_best", "curve_lead")
ABSOLUTE = {"x_origin", "x_horizon", "size", "shots", "tokens_axis"}
"""Features that say where a question lies, not what its curve does: most members do without, to carry to new scales."""
USED = (*NAMES, *POSTERIOR)
FAMILIAR = ({"frontier": False, "familiar": True}, {"frontier": True, "familiar": True})
"""An example of a known task is seen twice: with all of the other lines, and with their points up to the origin only."""
UNKNOWN = ({"frontier": False, "familiar": False},)
"""The same example as if no other line had its task."""

Matrix = Float[np.ndarray, "question feature"]


@dataclass(frozen=True, kw_only=True)
class SeenTwice:
    """The same known questions, with other lines' curves of their tasks in sight and without."""

    familiar: Examples
    unknown: Examples


def examples(curves: Sequence[Curve], *, most: int, seed: int) -> SeenTwice:
    """At most `most` known questions of the curves.

    The curve posterior of an example comes from a prior fitted without its task (cross-fitting).
    """
    asked = known_questions(curves, fewest=2, most=most, seed=seed)
    priors, history = crossfit_priors(curves, seed=seed), History.of(curves)

    def seen(sights: Sequence[dict[str, bool]]) -> Examples:
        views = [features(history, curves, asked, priors, **sight) for sight in sights]
        return _examples(curves, asked, views)

    return SeenTwice(familiar=seen(FAMILIAR), unknown=seen(UNKNOWN))


def _examples(curves: Sequence[Curve], asked: Sequence[Question], views: Sequence[Matrix]) -> Examples:
    """The views of the questions as rows that share each question's weight."""
    times = len(views)
    answers = np.array([(question.emerged, question.z) for question in asked], dtype=float).reshape(-1, 2)
    seen = [(curves[question.curve], question.count - 1) for question in asked]
    return Examples(
        features=np.concatenate(views),
        emerged=np.tile(answers[:, 0], times),
        z=np.tile(answers[:, 1], times),
        last=np.tile(np.array([curve.z[place] for curve, place in seen], dtype=float), times),
        threshold=np.tile(np.array([curve.threshold[place] for curve, place in seen], dtype=float), times),
        weight=np.full(times * len(asked), 1 / times),
        question=np.tile(np.arange(len(asked)), times),
    )


def crossfit_priors(curves: Sequence[Curve], *, seed: int) -> Callable[[Curve], CurvePrior]:
    """For every curve a prior that was learned from other tasks (from all, where there are too few tasks to hold out)."""
    tasks = sorted({curve.task for curve in curves})
    np.random.default_rng(seed).shuffle(tasks)
    fold = {task: place % FOLDS for place, task in enumerate(tasks)}
    parts = [[curve for curve in curves if fold[curve.task] != held and len(curve) > 1] for held in range(FOLDS)]
    usable = [part if part else list(curves) for part in parts]
    priors = [fit_prior(part, seed=seed) for part in usable]
    return lambda curve: priors[fold[curve.task]]


def features(
    history: History,
    curves: Sequence[Curve],
    asked: Sequence[Question],
    priors: Callable[[Curve], CurvePrior],
    *,
    frontier: bool = False,
    familiar: bool = True,
) -> Matrix:
    """One row a question."""
    found = np.full((len(asked), len(USED)), np.nan)
    grouped: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, question in enumerate(asked):
        grouped[(question.curve, question.count)].append(row)
    for (index, count), rows in grouped.items():
        seen = first_points(curves[index], count)
        require_past(seen, float(curves[index].x[count - 1]))
        horizons = [asked[row].horizon for row in rows]
        sight = Sight(history=history, curve=seen, frontier=frontier, familiar=familiar)
        found[rows] = np.concatenate(
            [question_features(sight, horizons), _posterior(priors(seen), seen, horizons)], axis=1
        )
    return found


def _posterior(prior: CurvePrior, seen: Curve, horizons: Sequence[float]) -> Matrix:
    bar = float(seen.threshold[-1])
    said = forecast(prior, seen, horizons, threshold=bar, error=float(seen.se[-1]))
    return np.array([(one.p, one.mean - bar, one.sd, one.best - bar, one.lead) for one in said])
