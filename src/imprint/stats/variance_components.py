"""Where the variance of an outcome comes from: nested random effects (condition / pipeline / stage / evaluation sample)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from imprint.stats.effects import Effect, Unit
from imprint.stats.mean_squares import MeanSquare, difference_interval, mean_square_interval
from imprint.stats.nest import Nest, nested_codes, require_pipelines
from imprint.stats.reml import reml_components
from imprint.stats.undefined import Estimate, Undefined
from imprint.stats.variance import NEGATIVE, FTest, f_test

_UNITS: dict[str, Unit] = {"pipeline seed": "pipeline seed", "stage seed": "run", "evaluation sample": "item"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """The variance that one level of the nest adds, in squared units of the metric."""

    level: str
    """Levels that the design cannot separate are joined by " + "."""
    nodes: int
    variance: Estimate
    """By ANOVA, with the modified large-sample interval; negative estimates stay negative."""
    reml: float | Undefined
    """By restricted maximum likelihood, 0 or more."""
    share: float | Undefined
    """Of the summed ANOVA estimates, negative ones included."""
    f: FTest | Undefined
    """Of no variance at this level."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return {
            "level": self.level,
            "nodes": self.nodes,
            "variance": self.variance.as_dict(),
            "reml": self.reml if isinstance(self.reml, float) else self.reml.as_dict(),
            "share": self.share if isinstance(self.share, float) else self.share.as_dict(),
            "f": self.f.as_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Level:
    name: str
    nodes: int
    square: MeanSquare
    """Of the nodes' unweighted means around that of their parent."""
    weights: Float64[np.ndarray, " level"]
    """What every component adds to the expectation of `square`."""


def nested_components(nest: Nest, *, level: float = 0.95) -> tuple[Component, ...]:
    """The variance of every level of the nest, outermost first, all levels taken as random.

    Estimates solve the expected mean squares of unweighted means: the usual ANOVA estimates in a balanced nest, unbiased in
    any. Intervals are exact (chi squared) at the innermost level, modified large-sample above it.

    Raises:
        InputError: conditions cannot be told from pipelines (see `imprint.stats.nest.require_pipelines`).

    Trust: assumes normal effects; in an unbalanced nest intervals and F are Satterthwaite approximations. Evaluation items
    that all models answer are crossed with models, not nested: average them first.
    """
    require_pipelines(nest)
    codes = _separable(nest)
    levels = _levels(nest.values.astype(np.float64), codes)
    expectation = np.stack([found.weights for found in levels])
    solve = np.linalg.inv(expectation)
    variances = solve @ [found.square.value for found in levels]
    total = float(variances.sum())
    nodes = list(codes.values())
    fit = reml_components(nest.values.astype(np.float64), nodes[:-1])
    return tuple(
        Component(
            level=found.name,
            nodes=found.nodes,
            variance=_effect(levels, depth, _noise(levels, solve, depth), float(variances[depth]), nest.metric, level),
            reml=fit if isinstance(fit, Undefined) else fit[depth],
            share=float(variances[depth]) / total if total > 0 else Undefined(reason="the estimates sum to 0 or less"),
            f=_f(found, _noise(levels, solve, depth)),
        )
        for depth, found in enumerate(levels)
    )


def _separable(nest: Nest) -> dict[str, Int[np.ndarray, " row"]]:
    """The levels that have degrees of freedom of their own; the others are joined to the level above them."""
    found: dict[str, np.ndarray] = {}
    for name, code in (nested_codes(nest) | {"evaluation sample": np.arange(nest.values.size)}).items():
        last = next(reversed(found), None)
        if last is not None and code.max() == found[last].max():
            if name in nest.labels():
                found[f"{last} + {name}"] = found.pop(last)
        else:
            found[name] = code
    return found


def _levels(values: Float64[np.ndarray, " row"], codes: dict[str, Int[np.ndarray, " row"]]) -> list[_Level]:
    """From the outermost level inwards; means and their weights are built from the innermost outwards."""
    names, found = list(codes), []
    means, weights = values, np.tile(np.eye(len(names))[-1], (values.size, 1))
    rows = np.argsort(codes[names[-1]], kind="stable")
    means = means[rows]
    for depth in range(len(names) - 1, -1, -1):
        parents = codes[names[depth - 1]][rows] if depth else np.zeros(rows.size, dtype=np.int64)
        first = np.unique(parents, return_index=True)[1]
        sizes = np.bincount(parents).astype(np.float64)
        upper = np.bincount(parents, means) / sizes
        found.append(_level(names[depth], means - upper[parents], weights, sizes[parents], np.abs(values).max()))
        inner = np.stack([np.bincount(parents, column) for column in weights.T], axis=1) / sizes[:, None] ** 2
        means, weights, rows = upper, inner, rows[first]
        weights[:, depth - 1] += 1
    return found[::-1]


def _level(
    name: str,
    deviations: Float64[np.ndarray, " node"],
    weights: Float64[np.ndarray, "node level"],
    siblings: Float64[np.ndarray, " node"],
    largest: float,
) -> _Level:
    df = float((1 - 1 / siblings).sum())
    square = float(deviations @ deviations / df) if np.ptp(deviations) > 1e-12 * largest else 0.0
    return _Level(
        name=name,
        nodes=deviations.size,
        square=MeanSquare(value=square, df=df),
        weights=(1 - 1 / siblings) @ weights / df,
    )


def _noise(levels: list[_Level], solve: Float64[np.ndarray, "level level"], depth: int) -> MeanSquare | None:
    """What a level's mean square would be without variance of its own, df by Satterthwaite; None at the innermost level."""
    squares = [(solve[depth, inner], levels[inner].square) for inner in range(depth + 1, len(levels))]
    parts = [(-float(weight) * square.value, square.df) for weight, square in squares]
    if not parts:
        return None
    value = sum(part for part, _ in parts)
    if value <= 0:
        return MeanSquare(value=0.0, df=parts[0][1])
    return MeanSquare(value=value, df=value**2 / sum(part**2 / df for part, df in parts))


def _effect(
    levels: list[_Level], depth: int, noise: MeanSquare | None, variance: float, metric: str, level: float
) -> Effect:
    found, drawn = levels[depth], levels[max(depth, 1)]  # evidence about conditions is counted in pipelines
    square = found.square
    low, high = mean_square_interval(square, level) if noise is None else difference_interval(square, noise, level)
    return Effect(
        estimate=variance,
        low=low,
        high=high,
        n=drawn.nodes,
        unit=next(unit for name, unit in _UNITS.items() if drawn.name.startswith(name)),
        control="0, no variance",
        metric=f"variance of {metric} by {found.name}",
        level=level,
        note=NEGATIVE if variance < 0 else "",
    )


def _f(found: _Level, noise: MeanSquare | None) -> FTest | Undefined:
    if noise is None:
        return Undefined(reason=f"{found.name} is the innermost level: nothing inside it to test it against")
    return f_test(found.square.value, found.square.df, noise.value, noise.df)
