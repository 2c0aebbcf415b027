"""What a question's first points say, as numbers: the curve's own past, its line's skill, and curves of the same task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from imprint.emergence.trajectories.curves import Curve
from imprint.emergence.trajectories.history import History

NAMES = (
    "chance",
    "items",
    "points",
    "reach",
    "span",
    "gap",
    "last_margin",
    "best_margin",
    "mean_margin",
    "recent_margin",
    "last_sigma",
    "slope",
    "recent_slope",
    "line_margin",
    "recent_line_margin",
    "se",
    "last_emerged",
    "skill",
    "skill_slope",
    "skill_ahead",
    "peers_emerged",
    "skill_gap",
    "task_now",
    "task_ahead",
    "task_rise",
    "task_near",
    "task_skill_now",
    "task_skill_ahead",
    "task_adjusted",
    "task_curves",
    "domain_now",
    "domain_emerged",
    "domain_ahead",
    "size",
    "x_origin",
    "x_horizon",
    "threshold",
    "zlast",
    "tokens_axis",
    "shots",
)
TASK_NAMES = tuple(name for name in NAMES if name.startswith("task_"))
RECENT = 3
NEAR_X = 0.25
NEAR_SKILL = 0.05
NEAR_SIZE = 0.5
SMALLER = 0.04
"""Along tokens only models smaller by this (log10) are looked at: the larger ones are trained later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What a question may see: the curve's points up to the origin, and a history.

    `frontier`: other lines, too, are seen up to the origin only. `familiar`: curves of the same task may be used.
    """

    history: History
    curve: Curve
    frontier: bool = False
    familiar: bool = True

    @property
    def origin(self) -> float:
        """log10 of the last scale that may be seen."""
        return float(self.curve.x[-1])


def question_features(sight: Sight, horizons: Sequence[float]) -> Float[np.ndarray, "horizon feature"]:
    """One row a horizon; nan where something is not known."""
    own = _own(sight)
    skill = _skill(sight)
    rows = []
    for horizon in horizons:
        values = {**own, **_ahead(sight, own, horizon), **_skill_ahead(sight, skill, horizon)}
        values |= _task(sight, values, horizon)
        values |= _domain(sight, horizon)
        rows.append([values[name] for name in NAMES])
    return np.array(rows, dtype=float)


def _own(sight: Sight) -> dict[str, float]:
    curve = sight.curve
    x, z, se = curve.x, curve.z, curve.se
    bar = float(curve.threshold[-1])
    gaps = np.diff(x)
    return {
        "chance": curve.chance,
        "items": float(np.log10(curve.items)),
        "points": float(len(curve)),
        "span": float(x[-1] - x[0]),
        "gap": float(np.median(gaps)) if len(gaps) else np.nan,
        "last_margin": float(z[-1] - bar),
        "best_margin": float(z.max() - bar),
        "mean_margin": float(z.mean() - bar),
        "recent_margin": float(z[-RECENT:].mean() - bar),
        "last_sigma": float(z[-1] / se[-1]),
        "slope": _slope(x, z, se),
        "recent_slope": _slope(x[-RECENT:], z[-RECENT:], se[-RECENT:]),
        "se": float(se[-1]),
        "last_emerged": float(curve.emerged[-1]),
        "size": curve.size,
        "x_origin": float(x[-1]),
        "threshold": bar,
        "zlast": float(z[-1]),
        "tokens_axis": float(curve.axis == "tokens"),
        "shots": curve.shots,
    }


def _slope(x: Float[np.ndarray, "point"], z: Float[np.ndarray, "point"], se: Float[np.ndarray, "point"]) -> float:
    """Weighted slope per decade, drawn to 0 as if a flat decade had been seen; 0 for one point."""
    if len(x) < 2:
        return 0.0
    weight = 1 / (se**2 + 0.01**2)
    weight = weight / weight.mean()
    centred = x - np.average(x, weights=weight)
    return float((weight * centred * z).sum() / ((weight * centred**2).sum() + 0.01))


def _ahead(sight: Sight, own: dict[str, float], horizon: float) -> dict[str, float]:
    x = sight.curve.x
    z = sight.curve.z
    reach = horizon - sight.origin
    return {
        "reach": reach,
        "x_horizon": horizon,
        "line_margin": float(z.mean() + own["slope"] * (horizon - x.mean()) - own["threshold"]),
        "recent_line_margin": own["recent_margin"] + own["recent_slope"] * (horizon - float(x[-RECENT:].mean())),
    }


def _skill(sight: Sight) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
    """Mean score and share of emerged abilities of the line's other tasks at the curve's seen points."""
    skill = sight.history.skills.get(sight.curve.line)
    seen = sight.curve.x
    if skill is None:
        return np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    return skill.without(sight.curve)


def _skill_ahead(
    sight: Sight, skill: tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]], horizon: float
) -> dict[str, float]:
    mean, share = skill
    x = sight.curve.x
    known = np.isfinite(mean)
    if not known[-1]:
        return dict.fromkeys(("skill", "skill_slope", "skill_ahead", "peers_emerged", "skill_gap"), np.nan)
    ones = np.full(int(known.sum()), 0.02)
    slope = _slope(x[known][-RECENT:], mean[known][-RECENT:], ones[-RECENT:])
    return {
        "skill": float(mean[-1]),
        "skill_slope": slope,
        "skill_ahead": float(mean[-1] + slope * (horizon - x[-1])),
        "peers_emerged": float(share[-1]),
        "skill_gap": float(sight.curve.z[-1] - mean[-1]),
    }


def _relatives(sight: Sight) -> list[tuple[Curve, int]]:
    """Curves of the same task in other lines, each with how many of its points may be seen."""
    curve = sight.curve
    if not sight.familiar:
        return []
    found = []
    for other in sight.history.by_task.get((curve.axis, curve.task, curve.shots), ()):
        if other.line == curve.line or not _earlier(other, curve):
            continue
        limited = sight.frontier or other.kin == curve.kin
        count = int(np.searchsorted(other.x, sight.origin + 1e-9, side="right")) if limited else len(other)
        if count:
            found.append((other, count))
    return found


def _earlier(other: Curve, curve: Curve) -> bool:
    return curve.axis != "tokens" or not other.size > curve.size - SMALLER


def _task(sight: Sight, values: dict[str, float], horizon: float) -> dict[str, float]:
    """Scores of the same task in other lines near the origin and the horizon, by scale and by general skill."""
    relatives = _relatives(sight)
    empty = dict.fromkeys(TASK_NAMES, np.nan)
    if not relatives:
        return empty | {"task_curves": 0.0}
    bar = values["threshold"]
    x = np.concatenate([other.x[:count] for other, count in relatives])
    z = np.concatenate([other.z[:count] for other, count in relatives])
    g = np.concatenate([_line_skill(sight.history, other)[:count] for other, count in relatives])
    size = np.concatenate([np.full(count, _size_gap(other, sight.curve)) for other, count in relatives])
    near = np.exp(-0.5 * (size / NEAR_SIZE) ** 2)
    now, _ = _kernel(x, z, sight.origin, NEAR_X, near)
    ahead, weight = _kernel(x, z, horizon, NEAR_X, near)
    skill_now, _ = _kernel(g, z, values["skill"], NEAR_SKILL, near)
    skill_ahead, _ = _kernel(g, z, values["skill_ahead"], NEAR_SKILL, near)
    return {
        "task_now": now - bar,
        "task_ahead": ahead - bar,
        "task_rise": ahead - now,
        "task_near": weight,
        "task_skill_now": skill_now - bar,
        "task_skill_ahead": skill_ahead - bar,
        "task_adjusted": values["zlast"] + skill_ahead - skill_now - bar,
        "task_curves": float(len(relatives)),
    }


def _size_gap(other: Curve, curve: Curve) -> float:
    gap = other.size - curve.size
    return float(gap) if np.isfinite(gap) else 0.0


def _line_skill(history: History, curve: Curve) -> Float[np.ndarray, "point"]:
    return history.skills[curve.line].without(curve)[0]


def _kernel(
    at: Float[np.ndarray, "point"],
    values: Float[np.ndarray, "point"],
    where: float,
    width: float,
    weight: Float[np.ndarray, "point"],
) -> tuple[float, float]:
    """Gaussian-weighted mean near a place (nan where nothing is near), and the weight it rests on."""
    known = np.isfinite(at)
    if not np.isfinite(where) or not known.any():
        return float("nan"), 0.0
    weights = weight[known] * np.exp(-0.5 * ((at[known] - where) / width) ** 2)
    total = float(weights.sum())
    return (float(weights @ values[known]) / total if total > 0.05 else float("nan")), total


def _domain(sight: Sight, horizon: float) -> dict[str, float]:
    """Other tasks of the same domain in the same line, up to the origin."""
    curve = sight.curve
    group = sight.history.domains.get((curve.line, curve.domain, curve.shots)) if curve.domain != "other" else None
    mean, share = group.without(sight.curve) if group is not None else (np.array([np.nan]), np.array([np.nan]))
    if group is None or not np.isfinite(mean[-1]):
        return {"domain_now": np.nan, "domain_emerged": np.nan, "domain_ahead": np.nan}
    known = np.isfinite(mean)
    ones = np.full(int(known.sum()), 0.02)
    slope = _slope(curve.x[known][-RECENT:], mean[known][-RECENT:], ones[-RECENT:])
    now = float(mean[-1] - curve.threshold[-1])
    return {
        "domain_now": now,
        "domain_emerged": float(share[-1]),
        "domain_ahead": now + slope * (horizon - sight.origin),
    }
