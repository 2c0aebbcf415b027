"""A dynamic structural model: each node at a step on its parents and itself one step before, within runs."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Shaped

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.emergence.graph.path_regression import Coefficient, coefficients
from imprint.emergence.graph.sem import centred
from imprint.errors import InputError

FEWEST_STEPS = 5
CAVEAT = (
    "A lagged regression says what comes before what within runs, given the graph; a common cause that changes over training "
    "looks like an effect; it decides no edge."
)


@dataclass(frozen=True, kw_only=True)
class DynamicModel:
    """Lagged coefficients of parents, and of each node's own past."""

    coefficients: tuple[Coefficient, ...]
    """Of parents one step before."""
    own: tuple[Coefficient, ...]
    """Of the node itself one step before; cause and effect are the same node."""
    runs: int
    steps: int
    """The fewest steps of a run."""
    bias: float
    """About how much the coefficients of the own past are too small: (1 + own) / steps, the largest over nodes (Nickell 1981)."""
    caveat: str = CAVEAT

    def coefficient(self, cause: str, effect: str) -> Coefficient:
        """The coefficient of an edge, or of a node's own past where both are the same."""
        return next(one for one in (*self.coefficients, *self.own) if (one.cause, one.effect) == (cause, effect))

    def long_run(self, cause: str, effect: str) -> float:
        """What one unit of the cause, kept up, adds to the effect in the end: slope / (1 - own past). inf where own past >= 1."""
        own = self.coefficient(effect, effect).slope.estimate
        return float("inf") if own >= 1 else self.coefficient(cause, effect).slope.estimate / (1 - own)


def fit_dynamic(graph: CausalGraph, panel: pl.DataFrame) -> DynamicModel:
    """The model of a long table (run, seed, step, node, value): node at t on its parents and itself at t - 1, run means out.

    Steps are taken in order, whatever their distance; every run needs its nodes at the same steps. Errors are clustered by seed.

    Raises:
        InputError: a missing column or node, a value twice, nodes at different steps, or a run with under 5 steps.

    Trust: run means make the own past look weaker by about (1 + own) / steps; unequal steps make lags unequal.
    """
    wide = _wide(graph, panel)
    names = [node for node in graph.names if graph.digraph.degree(node)]
    runs, seeds = wide["run"].to_numpy(), wide["seed"].to_numpy()
    values = wide.select(names).to_numpy().astype(float)
    parents: list[Coefficient] = []
    own: list[Coefficient] = []
    for place, name in enumerate(names):
        causes = tuple(graph.digraph.predecessors(name))
        if not causes:
            continue
        columns = [place, *(names.index(cause) for cause in causes)]
        found = _lagged(values[:, columns], runs, seeds, causes=(name, *causes), effect=name)
        own.append(found[0])
        parents += found[1:]
    steps = min(wide.group_by("run").len()["len"].to_list())
    return DynamicModel(
        coefficients=tuple(parents),
        own=tuple(own),
        runs=int(wide["run"].n_unique()),
        steps=steps,
        bias=max((1 + one.slope.estimate) / steps for one in own),
    )


def _lagged(
    values: Float[np.ndarray, "row column"],
    runs: Shaped[np.ndarray, "row"],
    seeds: Shaped[np.ndarray, "row"],
    *,
    causes: tuple[str, ...],
    effect: str,
) -> tuple[Coefficient, ...]:
    """The first column on all columns one row before, within runs."""
    follows = np.flatnonzero(runs[1:] == runs[:-1]) + 1
    joined, count = centred(np.c_[values[follows - 1], values[follows, 0]], runs[follows])
    return coefficients(joined[:, :-1], joined[:, -1], seeds[follows], causes=causes, effect=effect, absorbed=count)


def _wide(graph: CausalGraph, panel: pl.DataFrame) -> pl.DataFrame:
    for name in ("run", "seed", "step", "node", "value"):
        if name not in panel.columns:
            raise InputError(f"the panel has no column '{name}': give run, seed, step, node and value")
    there = set(panel["node"].unique())
    if missing := [node for edge in graph.edges for node in edge.pair if node not in there]:
        raise InputError(f"the panel does not measure '{missing[0]}': measure it or take its edges out of the graph")
    repeated = panel.group_by("run", "step", "node", maintain_order=True).len().filter(pl.col("len") > 1)
    if len(repeated):
        run, step, node, _ = repeated.row(0)
        raise InputError(f"run '{run}' has several values of '{node}' at step {step}: give one a step")
    used = panel.filter(pl.col("node").is_in([node for edge in graph.edges for node in edge.pair]))
    wide = used.pivot("node", index=["run", "seed", "step"], values="value").sort("run", "step")
    gaps = wide.filter(pl.any_horizontal(pl.all().is_null()))
    if len(gaps):
        raise InputError(
            f"run '{gaps['run'][0]}' lacks a node at step {gaps['step'][0]}: measure all nodes at the same steps"
        )
    short = wide.group_by("run", maintain_order=True).len().filter(pl.col("len") < FEWEST_STEPS)
    if len(short):
        raise InputError(
            f"run '{short['run'][0]}' has {short['len'][0]} steps: a lagged model needs at least {FEWEST_STEPS}"
        )
    return wide
