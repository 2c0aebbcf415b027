"""The refined graph: which hypothesised edges the interventions support, drop or leave undecided, and which they add."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import networkx as nx

from imprint.emergence.graph.causal_graph import CausalGraph, Edge, Sign
from imprint.emergence.graph.edge_test import EdgeTest
from imprint.emergence.graph.edge_tests import EdgeFindings

State = Literal["supported", "dropped", "undecided", "added"]
Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinedEdge:
    """An edge after the interventions, and the one reason for its state. The numbers are those of the deciding test."""

    cause: str
    effect: str
    sign: Sign
    """As measured where it was, else as hypothesised."""
    state: State
    reason: str
    arm: str = ""
    estimate: float | None = None
    """What the arm did to the effect, in node units."""
    low: float | None = None
    high: float | None = None
    q: float | None = None

    @property
    def pair(self) -> Pair:
        """Cause and effect."""
        return self.cause, self.effect


@dataclass(frozen=True, kw_only=True)
class RefinedGraph:
    """The hypothesised graph with a state for every edge, and the edges that the interventions added.

    Trust: an added edge says that an effect is there and that the graph had no path for it, not that nothing lies between.
    """

    graph: CausalGraph
    edges: tuple[RefinedEdge, ...]
    notes: tuple[str, ...]

    def in_state(self, *states: State) -> tuple[RefinedEdge, ...]:
        """The edges in one of these states."""
        return tuple(edge for edge in self.edges if edge.state in states)

    @property
    def counts(self) -> dict[str, int]:
        """How many edges are in each state."""
        found = Counter(edge.state for edge in self.edges)
        return {state: found[state] for state in ("supported", "added", "dropped", "undecided")}

    @property
    def kept(self) -> CausalGraph:
        """The graph of the supported and added edges only."""
        kept = self.in_state("supported", "added")
        return self.graph.with_edges(
            Edge(cause=edge.cause, effect=edge.effect, sign=edge.sign, because=edge.reason) for edge in kept
        )

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """All edges with `state`, `sign` and `reason`; nodes as in the hypothesised graph. A dropped edge is still there.

        May hold a cycle where an edge was added against a dropped one.
        """
        graph = nx.DiGraph(title=self.graph.title)
        graph.add_nodes_from(self.graph.digraph.nodes(data=True))
        for edge in sorted(self.edges, key=lambda one: one.state == "added"):
            graph.add_edge(edge.cause, edge.effect, **asdict(edge))
        return graph

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "graph": self.graph.as_dict(),
            "counts": self.counts,
            "edges": [asdict(edge) for edge in self.edges],
            "notes": list(self.notes),
        }


def refine(graph: CausalGraph, findings: EdgeFindings) -> RefinedGraph:
    """The graph after the tests.

    supported: a significant effect of the right sign, beyond the smallest of interest, that no other path of found edges
    explains, or that is still there while a joint arm holds what lies between. dropped: an interval within the smallest effect
    of interest at every scale and no other path that could hide the edge, an effect gone while what lies between is held, or an
    effect of the other sign. undecided: everything else, with the reason. added: the transitive reduction of significant effects
    that the graph has no path for.

    Trust: a single intervention gives total effects; where several paths lead to a node only joint arms tell them apart.
    """
    found = nx.DiGraph()
    found.add_nodes_from(graph.names)
    for edge in graph.edges:
        if any(test.matters and _right_sign(edge, test) for test in findings.of(*edge.pair)):
            found.add_edge(*edge.pair)
    judged = [_judged(edge, findings, found) for edge in graph.edges]
    added, notes = _added(graph, findings, judged)
    return RefinedGraph(graph=graph, edges=(*judged, *added), notes=(*findings.notes, *notes))


def _judged(edge: Edge, findings: EdgeFindings, found: nx.DiGraph) -> RefinedEdge:
    tests = findings.of(*edge.pair)
    usable = [test for test in tests if test.usable]
    if not usable:
        return _edge(edge, "undecided", _why_untested(edge, tests, findings))
    significant = [test for test in usable if test.matters]
    best = min(significant or usable, key=lambda test: (test.q, test.arm))
    signs = {test.sign for test in significant} - {"?"}
    if len(signs) > 1:
        arms = ", ".join(test.arm for test in significant)
        return _edge(edge, "undecided", f"the arms {arms} are significant with opposite signs.", best)
    between = _between(edge, found)
    if between:
        return _judged_beside(edge, findings, found, best, between)
    if significant and _right_sign(edge, best):
        return _edge(edge, "supported", f"{_said(best)}; no other found path explains it{_unsigned(edge, best)}.", best)
    if significant:
        return _edge(edge, "dropped", f"{_said(best)}: the other sign, and no other found path explains it.", best)
    return _not_significant(edge, best)


def _judged_beside(
    edge: Edge, findings: EdgeFindings, found: nx.DiGraph, best: EdgeTest, between: Sequence[str]
) -> RefinedEdge:
    """An edge beside another path of found edges: only a joint arm that blocks every such path decides."""
    path = " -> ".join([edge.cause, *between, edge.effect])
    joint = [test for test in findings.held_of(*edge.pair) if test.usable and _blocks(edge, test.held, found)]
    if joint:
        test = min(joint, key=lambda one: (one.q, one.arm))
        state, reason = _held_verdict(edge, test, path)
        return _edge(edge, state, reason, test)
    decide = f"a joint arm that also sets {between[0]} would decide."
    if best.matters and _right_sign(edge, best):
        return _edge(edge, "undecided", f"a mediated path explains it ({path}); {decide}", best)
    if best.matters:
        return _edge(
            edge, "undecided", f"{_said(best)}, which is the other sign, but {path} is there too; {decide}", best
        )
    return _edge(
        edge, "undecided", f"no significant total effect, but {path} is there and may cancel it; {decide}", best
    )


def _held_verdict(edge: Edge, test: EdgeTest, path: str) -> tuple[State, str]:
    """What the effect says that is left while everything between is held."""
    held = ", ".join(test.held)
    said = f"while {held} is held, {_said(test)}"
    if test.matters and _right_sign(edge, test):
        return "supported", f"{said}: so not only through {path}."
    if test.matters:
        return "dropped", f"{said}, which is the other sign."
    if test.negligible:
        return "dropped", f"{said}: gone, within +-{test.margin:.3g}."
    return "undecided", f"{said}: too wide to say whether there is more than {path}."


def _not_significant(edge: Edge, test: EdgeTest) -> RefinedEdge:
    if test.negligible:
        word = "significant, but " if test.significant else ""
        reason = f"{_said(test)}: {word}the interval lies within +-{test.margin:.3g}, the smallest effect of interest."
        return _edge(edge, "dropped", reason, test)
    assert test.found is not None
    if not test.same_at_scales:
        return _edge(edge, "undecided", f"on average {_said(test)}, but it {test.scales_say}.", test)
    detectable = f"these {test.found.effect.n} pairs show effects from {test.found.detectable:.3g} on"
    reason = f"{_said(test)}: neither significant nor within +-{test.margin:.3g}; {detectable}."
    return _edge(edge, "undecided", reason, test)


def _why_untested(edge: Edge, tests: Sequence[EdgeTest], findings: EdgeFindings) -> str:
    if not tests:
        set_alone = any(one.node == edge.cause for one in findings.manipulations)
        if set_alone and any(test.cause == edge.cause for test in findings.tests):
            return f"'{edge.effect}' was not measured."
        return f"no arm sets '{edge.cause}' alone."
    if not any(test.valid for test in tests):
        return f"no arm moved '{edge.cause}', the node it was to set."
    if all(test.found is None for test in tests) and any(test.at_floor for test in tests):
        return (
            f"'{edge.effect}' is at its floor at every scale, with and without the intervention: nothing could be lost."
        )
    if all(test.found is None for test in tests):
        return f"'{edge.effect}' was not measured in 2 pairs."
    return f"no variation: '{edge.effect}' has the same value in every run compared."


def _between(edge: Edge, found: nx.DiGraph) -> list[str]:
    """What lies on a shortest other path of found edges; empty where there is none."""
    other = _without(edge, found)
    return list(nx.shortest_path(other, *edge.pair)[1:-1]) if nx.has_path(other, *edge.pair) else []


def _blocks(edge: Edge, held: Iterable[str], found: nx.DiGraph) -> bool:
    other = _without(edge, found)
    other.remove_nodes_from(held)
    return not nx.has_path(other, *edge.pair)


def _without(edge: Edge, found: nx.DiGraph) -> nx.DiGraph:
    other = nx.DiGraph(found)
    if other.has_edge(*edge.pair):
        other.remove_edge(*edge.pair)
    return other


def _added(
    graph: CausalGraph, findings: EdgeFindings, judged: Sequence[RefinedEdge]
) -> tuple[list[RefinedEdge], list[str]]:
    """Significant effects without a path, reduced to those that no chain of others explains; and what could not be added."""
    open_edges = nx.DiGraph()
    open_edges.add_nodes_from(graph.names)
    open_edges.add_edges_from(edge.pair for edge in judged if edge.state != "dropped")
    best = _best_significant(findings)
    wanted = [pair for pair in best if not nx.has_path(open_edges, *pair)]
    known = nx.DiGraph()
    known.add_nodes_from(graph.names)
    known.add_edges_from(edge.pair for edge in judged if edge.state in ("supported", "undecided"))
    union = nx.compose(known, nx.DiGraph(wanted))
    knots = {node: place for place, part in enumerate(nx.strongly_connected_components(union)) for node in part}
    circular = [pair for pair in wanted if knots[pair[0]] == knots[pair[1]]]
    union.remove_edges_from(circular)
    reduced = nx.transitive_reduction(union)
    kept = [pair for pair in wanted if pair not in circular and reduced.has_edge(*pair)]
    notes = [
        f"{cause} moves {effect}, but the edge would close a circle within a tier: order the two in time to decide it."
        for cause, effect in circular
    ]
    return [_added_edge(best[pair]) for pair in kept], notes


def _best_significant(findings: EdgeFindings) -> dict[Pair, EdgeTest]:
    """The strongest significant test of every pair; pairs whose arms disagree in sign are left out."""
    found: dict[Pair, EdgeTest] = {}
    signs: dict[Pair, set[str]] = {}
    for test in sorted((one for one in findings.tests if one.matters), key=lambda one: (one.q, one.arm)):
        found.setdefault((test.cause, test.effect), test)
        signs.setdefault((test.cause, test.effect), set()).add(test.sign)
    return {pair: test for pair, test in found.items() if len(signs[pair] - {"?"}) < 2}


def _added_edge(test: EdgeTest) -> RefinedEdge:
    edge = Edge(cause=test.cause, effect=test.effect, sign=test.sign)
    return _edge(edge, "added", f"{_said(test)}, and the graph has no path for it.", test)


def _right_sign(edge: Edge, test: EdgeTest) -> bool:
    """Whether the measured sign does not contradict the hypothesised one."""
    return "?" in (edge.sign, test.sign) or edge.sign == test.sign


def _unsigned(edge: Edge, test: EdgeTest) -> str:
    return "; its sign could not be checked" if test.sign == "?" and edge.sign != "?" else ""


def _said(test: EdgeTest) -> str:
    assert test.found is not None
    effect = test.found.effect
    return f"{test.arm} moves {test.effect} by {effect.estimate:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}] (q {test.q:.2g})"


def _edge(edge: Edge, state: State, reason: str, test: EdgeTest | None = None) -> RefinedEdge:
    sign = edge.sign if test is None or test.sign == "?" or not test.matters else test.sign
    if test is None or test.found is None:
        return RefinedEdge(cause=edge.cause, effect=edge.effect, sign=sign, state=state, reason=reason)
    effect = test.found.effect
    return RefinedEdge(
        cause=edge.cause,
        effect=edge.effect,
        sign=edge.sign if state == "dropped" else sign,
        state=state,
        reason=reason,
        arm=test.arm,
        estimate=effect.estimate,
        low=effect.low,
        high=effect.high,
        q=test.q,
    )
