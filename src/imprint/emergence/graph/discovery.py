"""Causal discovery from run-level data, as a cross-check only: discovery never decides an edge, interventions do."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.emergence.graph.path_regression import least_squares
from imprint.emergence.graph.sem import centred
from imprint.emergence.graph.sort_regress import r2_sort_regress, variance_sort_regress
from imprint.errors import ConfigError, InputError
from imprint.stats import benjamini_hochberg

CAVEAT = (
    "Cross-check only: discovery never decides an edge. It assumes that nothing unmeasured moves two nodes, needs far more runs "
    "than a study trains, and where it does no better than the sortability baselines it has read the scale of the variables."
)
FDR = 0.1
Pair = tuple[str, str]
Values = Float[np.ndarray, "run node"]


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """What one method draws: edges with a direction, and edges whose direction it leaves open."""

    method: str
    directed: tuple[Pair, ...]
    open: tuple[Pair, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far a method's edges agree with the reference graph. Distances count pairs of nodes; 0 is the same graph."""

    method: str
    directed: int
    open: int
    precision: float | None
    """Of its directed edges, the share in the reference; None where it draws none."""
    recall: float | None
    distance: int
    """Structural Hamming distance: pairs that are joined otherwise (absent, either direction, or open)."""
    skeleton_distance: int
    """The same without directions."""


@dataclass(frozen=True, kw_only=True)
class CrossCheck:
    """Discovery beside the graph that interventions gave."""

    runs: int
    nodes: tuple[str, ...]
    found: tuple[Discovered, ...]
    agreement: tuple[Agreement, ...]
    reference_edges: int
    left_out: tuple[str, ...]
    """Nodes without variation, which no method can place."""
    caveat: str = CAVEAT

    def of(self, method: str) -> Agreement:
        """One method's agreement."""
        return next(one for one in self.agreement if one.method == method)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return asdict(self)


def cross_check(
    graph: CausalGraph, runs: pl.DataFrame, *, alpha: float = 0.05, causal_learn: bool = True
) -> CrossCheck:
    """PC with time tiers, GES, both sortability baselines and tiered regression with BH, against `graph` (`refined.kept`).

    `runs` has one row a run (`Observations.wide()`): a column a node and `scale`, whose means are taken out. Runs with a
    missing node are left out. Without `causal_learn` only the three methods that need no extra are run.

    Raises:
        ConfigError: causal-learn is not installed.
        InputError: no more complete runs than nodes.
    """
    values, names, left_out = _values(graph, runs)
    methods: dict[str, Callable[[], Discovered]] = {
        "VarSortnRegress": lambda: _sorted("VarSortnRegress", variance_sort_regress(values), names),
        "R2-SortnRegress": lambda: _sorted("R2-SortnRegress", r2_sort_regress(values), names),
        "tiered regression + BH": lambda: tiered_regression(graph, values, names),
    }
    if causal_learn:
        methods = {
            "PC with tiers": lambda: peter_clark(values, names, graph=graph, alpha=alpha),
            "GES": lambda: greedy_equivalence(values, names),
        } | methods
    found = tuple(method() for method in methods.values())
    truth = [edge.pair for edge in graph.edges if set(edge.pair) <= set(names)]
    return CrossCheck(
        runs=len(values),
        nodes=names,
        found=found,
        agreement=tuple(agreement(one, truth) for one in found),
        reference_edges=len(truth),
        left_out=left_out,
    )


def agreement(found: Discovered, truth: Sequence[Pair]) -> Agreement:
    """A method's edges against the true ones."""
    hits = len(set(found.directed) & set(truth))
    mine, theirs = _joins(found.directed, found.open), _joins(truth, ())
    pairs = set(mine) | set(theirs)
    return Agreement(
        method=found.method,
        directed=len(found.directed),
        open=len(found.open),
        precision=hits / len(found.directed) if found.directed else None,
        recall=hits / len(truth) if truth else None,
        distance=sum(mine.get(pair) != theirs.get(pair) for pair in pairs),
        skeleton_distance=len(set(mine) ^ set(theirs)),
    )


def peter_clark(
    values: Values, names: tuple[str, ...], *, graph: CausalGraph | None = None, alpha: float = 0.05
) -> Discovered:
    """PC with Fisher's z (causal-learn); with a graph, no edge may go to an earlier tier.

    Raises:
        ConfigError: causal-learn is not installed.
    """
    try:
        from causallearn.graph.GraphNode import GraphNode
        from causallearn.search.ConstraintBased.PC import pc
        from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge
    except ImportError as error:
        raise _missing(error) from error
    knowledge = BackgroundKnowledge()
    for place, name in enumerate(names if graph else ()):
        knowledge.add_node_to_tier(GraphNode(f"X{place + 1}"), graph.tier(name) if graph else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a foreign library, about its own code
        found = pc(values, alpha, "fisherz", background_knowledge=knowledge if graph else None, show_progress=False)
    return _marks("PC with tiers" if graph else "PC", found.G.graph, names)


def greedy_equivalence(values: Values, names: tuple[str, ...]) -> Discovered:
    """GES with the Gaussian BIC (causal-learn).

    Raises:
        ConfigError: causal-learn is not installed.
    """
    try:
        from causallearn.search.ScoreBased.GES import ges
    except ImportError as error:
        raise _missing(error) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a foreign library, about its own code
        found = ges(values)
    return _marks("GES", found["G"].graph, names)


def tiered_regression(graph: CausalGraph, values: Values, names: tuple[str, ...], *, fdr: float = FDR) -> Discovered:
    """Each node on all nodes of earlier tiers, coefficients kept by Benjamini-Hochberg over all equations."""
    pairs, p = [], []
    for place, name in enumerate(names):
        before = [at for at, other in enumerate(names) if graph.tier(other) < graph.tier(name)]
        if before:
            pairs += [(names[at], name) for at in before]
            p += _p_values(values[:, before], values[:, place]).tolist()
    kept = benjamini_hochberg(np.array(p, dtype=float)) <= fdr if p else np.zeros(0, dtype=bool)
    return Discovered(
        method="tiered regression + BH", directed=tuple(pair for pair, keep in zip(pairs, kept, strict=True) if keep)
    )


def _p_values(design: Values, outcome: Float[np.ndarray, "run"]) -> Float[np.ndarray, "column"]:
    design = np.c_[design, np.ones(len(design))]
    found = least_squares(design, outcome)
    free = len(outcome) - design.shape[1]
    variance = float(((outcome - design @ found) ** 2).sum()) / free
    error = np.sqrt(np.maximum(np.diag(np.linalg.pinv(design.T @ design)) * variance, np.finfo(float).tiny))
    return np.asarray(2 * stats.t.sf(np.abs(found / error), free))[:-1]


def _values(graph: CausalGraph, runs: pl.DataFrame) -> tuple[Values, tuple[str, ...], tuple[str, ...]]:
    measured = [name for name in graph.names if name in runs.columns and runs[name].drop_nulls().n_unique() > 1]
    complete = runs.drop_nulls(measured)
    if len(complete) < len(measured) + 2:
        raise InputError(
            f"{len(complete)} complete runs for {len(measured)} nodes: discovery needs more runs than nodes; leave nodes out"
        )
    scales = complete["scale"].to_numpy() if "scale" in complete.columns else np.zeros(len(complete))
    values, _ = centred(complete.select(measured).to_numpy().astype(float), scales)
    spread = values.std(0) > 1e-12 * np.abs(complete.select(measured).to_numpy()).max(0)
    names = tuple(name for name, keep in zip(measured, spread, strict=True) if keep)
    return values[:, spread], names, tuple(name for name in graph.names if name not in names)


def _sorted(method: str, weights: Float[np.ndarray, "cause effect"], names: tuple[str, ...]) -> Discovered:
    return Discovered(method=method, directed=tuple((names[i], names[j]) for i, j in np.argwhere(weights != 0)))


def _marks(method: str, ends: Any, names: tuple[str, ...]) -> Discovered:
    """causal-learn's end marks: -1 a tail, 1 an arrow head at the row's node."""
    directed, undecided = [], []
    for i, j in np.argwhere(np.triu(np.asarray(ends) != 0, 1)):
        if (ends[i, j], ends[j, i]) == (-1, 1):
            directed.append((names[i], names[j]))
        elif (ends[i, j], ends[j, i]) == (1, -1):
            directed.append((names[j], names[i]))
        else:
            undecided.append((names[i], names[j]))
    return Discovered(method=method, directed=tuple(directed), open=tuple(undecided))


def _joins(directed: Sequence[Pair], undecided: Sequence[Pair]) -> dict[frozenset[str], Pair | None]:
    return {frozenset(pair): pair for pair in directed} | {frozenset(pair): None for pair in undecided}


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"causal discovery needs the optional extra 'causal' ({error.name} is not installed): pip install 'imprint[causal]', "
        "or run the cross-check without causal-learn"
    )
