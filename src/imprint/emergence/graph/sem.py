"""A linear structural equation model along the graph: the documented fallback where single interventions leave edges open."""

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx
import numpy as np
import polars as pl
from jaxtyping import Float, Shaped

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.emergence.graph.path_regression import Coefficient, coefficients, least_squares
from imprint.errors import InputError
from imprint.stats import Effect

CAVEAT = (
    "A structural equation model assumes that the graph is right, that effects are linear and that nothing unmeasured moves two "
    "nodes at once; it decides no edge."
)


@dataclass(frozen=True, kw_only=True)
class PathEffect:
    """What one unit of `cause` does to `effect` directly, through others, and together, with bootstrap intervals over seeds."""

    cause: str
    effect: str
    direct: Effect
    indirect: Effect
    total: Effect


@dataclass(frozen=True, kw_only=True)
class StructuralModel:
    """Path coefficients, and effects along all directed paths."""

    coefficients: tuple[Coefficient, ...]
    effects: tuple[PathEffect, ...]
    runs: int
    seeds: int
    caveat: str = CAVEAT

    def coefficient(self, cause: str, effect: str) -> Coefficient:
        """The coefficient of an edge."""
        return next(one for one in self.coefficients if (one.cause, one.effect) == (cause, effect))

    def effect(self, cause: str, effect: str) -> PathEffect:
        """The effects of a pair that is joined by a path."""
        return next(one for one in self.effects if (one.cause, one.effect) == (cause, effect))


def fit_sem(
    graph: CausalGraph,
    runs: pl.DataFrame,
    *,
    interventions: Mapping[str, tuple[str, ...]] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> StructuralModel:
    """The model of a table with one row a run (`Observations.wide()`): seed, scale, arm and a column for every node.

    Each node is regressed on its parents within scales (scale means taken out). Runs in which an arm set the node stay out of
    its own equation, since the arm cut it from its parents. Errors are clustered by seed; indirect effects are sums of products
    along paths, their intervals percentiles of a bootstrap over seeds.

    Raises:
        InputError: a node of an edge has no column or no variation, fewer than 2 seeds, or too few runs for an equation.

    Trust: assumes the graph, linearity and no unmeasured common cause; with under 10 seeds intervals are too narrow.
    """
    _check_columns(graph, runs)
    table = _Table.of(graph, runs, interventions or {})
    found = [one for node in table.caused for one in table.coefficients(node)]
    seeds = np.unique(table.seeds)
    generator = np.random.default_rng(seed)
    resampled = [table.slopes(generator.choice(seeds, len(seeds))) for _ in range(draws)]
    return StructuralModel(
        coefficients=tuple(found),
        effects=_path_effects(table, np.stack(resampled), len(seeds)),
        runs=len(table.seeds),
        seeds=len(seeds),
    )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The runs as arrays, with the graph's nodes in causal order."""

    names: tuple[str, ...]
    parents: dict[str, tuple[str, ...]]
    values: Float[np.ndarray, "run node"]
    seeds: Shaped[np.ndarray, "run"]
    scales: Shaped[np.ndarray, "run"]
    is_set: dict[str, Shaped[np.ndarray, "run"]]

    @classmethod
    def of(cls, graph: CausalGraph, runs: pl.DataFrame, interventions: Mapping[str, tuple[str, ...]]) -> "_Table":
        joined = [name for name in nx.topological_sort(graph.digraph) if graph.digraph.degree(name)]
        arms = runs["arm"].to_numpy()
        return cls(
            names=tuple(joined),
            parents={name: tuple(graph.digraph.predecessors(name)) for name in joined},
            values=runs.select(joined).to_numpy().astype(float),
            seeds=runs["seed"].to_numpy(),
            scales=runs["scale"].to_numpy(),
            is_set={name: np.array([name in interventions.get(arm, ()) for arm in arms]) for name in joined},
        )

    @property
    def caused(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if self.parents[name])

    def equation(
        self, node: str, rows: Shaped[np.ndarray, "drawn"] | None = None
    ) -> tuple[Float[np.ndarray, "row parent"], Float[np.ndarray, "row"], Shaped[np.ndarray, "row"], int]:
        """Parents and node within scales, the seeds, and how many scale means were taken out."""
        rows = np.arange(len(self.seeds)) if rows is None else rows
        columns = [self.names.index(name) for name in (*self.parents[node], node)]
        rows = rows[~self.is_set[node][rows] & np.isfinite(self.values[rows][:, columns]).all(1)]
        within, count = centred(self.values[rows][:, columns], self.scales[rows])
        return within[:, :-1], within[:, -1], self.seeds[rows], count

    def coefficients(self, node: str) -> tuple[Coefficient, ...]:
        design, outcome, seeds, absorbed = self.equation(node)
        return coefficients(design, outcome, seeds, causes=self.parents[node], effect=node, absorbed=absorbed)

    def slopes(self, seeds: Shaped[np.ndarray, "draw"]) -> Float[np.ndarray, "effect cause"]:
        """The matrix of path coefficients in the runs of these seeds (with repeats)."""
        rows = np.concatenate([np.flatnonzero(self.seeds == one) for one in seeds])
        matrix = np.zeros((len(self.names), len(self.names)))
        for node in self.caused:
            design, outcome, _, _ = self.equation(node, rows)
            found = least_squares(design, outcome)
            matrix[self.names.index(node), [self.names.index(name) for name in self.parents[node]]] = found
        return matrix


def centred(
    values: Float[np.ndarray, "row column"], groups: Shaped[np.ndarray, "row"]
) -> tuple[Float[np.ndarray, "row column"], int]:
    """The values minus their group's mean, and how many groups there are."""
    names, place = np.unique(groups, return_inverse=True)
    means = np.stack([values[place == number].mean(0) for number in range(len(names))]) if len(values) else values
    return values - means[place], len(names)


def _path_effects(
    table: _Table, resampled: Float[np.ndarray, "draw effect cause"], seeds: int
) -> tuple[PathEffect, ...]:
    direct = table.slopes(np.unique(table.seeds))
    total, totals = _totals(direct), _totals(resampled)
    return tuple(
        PathEffect(
            cause=cause,
            effect=effect,
            direct=_interval(direct[e, c], resampled[:, e, c], cause, effect, seeds),
            indirect=_interval((total - direct)[e, c], (totals - resampled)[:, e, c], cause, effect, seeds),
            total=_interval(total[e, c], totals[:, e, c], cause, effect, seeds),
        )
        for c, cause in enumerate(table.names)
        for e, effect in enumerate(table.names)
        if c != e and _joined(table, cause, effect)
    )


def _joined(table: _Table, cause: str, effect: str) -> bool:
    return any(parent == cause or _joined(table, cause, parent) for parent in table.parents[effect])


def _totals(slopes: Float[np.ndarray, "*draw effect cause"]) -> Float[np.ndarray, "*draw effect cause"]:
    """(I - B)^-1 - I: the sum over all paths of the products of their coefficients."""
    identity = np.eye(slopes.shape[-1])
    return np.asarray(np.linalg.inv(identity - slopes) - identity)


def _interval(estimate: float, draws: Float[np.ndarray, "draw"], cause: str, effect: str, seeds: int) -> Effect:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Effect(
        estimate=float(estimate),
        low=float(low),
        high=float(high),
        n=seeds,
        unit="pipeline seed",
        control=f"{cause} one unit lower",
        metric=effect,
        note="" if seeds >= 30 else f"bootstrap of {seeds} seeds is too narrow",
    )


def _check_columns(graph: CausalGraph, runs: pl.DataFrame) -> None:
    for name in ("seed", "scale", "arm"):
        if name not in runs.columns:
            raise InputError(
                f"the table of runs has no column '{name}': give one row a run, as Observations.wide() does"
            )
    for edge in graph.edges:
        for name in edge.pair:
            if name not in runs.columns:
                raise InputError(
                    f"'{name}' has no column in the table of runs: measure it or take the edge out of the graph"
                )
            if runs[name].drop_nulls().n_unique() < 2:
                raise InputError(
                    f"'{name}' has no variation over the runs: its edges cannot be estimated, take them out"
                )
