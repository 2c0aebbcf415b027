"""Where the nodes of a causal graph go on paper: time from left to right, ordered within tiers so that few edges cross."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imprint.emergence.graph.causal_graph import CausalGraph
from imprint.emergence.graph.refinement import RefinedGraph

SWEEPS = 8
Order = list[list[str]]
Pair = tuple[str, str]


def drawing(graph: CausalGraph | RefinedGraph) -> dict[str, Any]:
    """Nodes with places, edges with states, as a plain dictionary.

    `tiers` are ordered names; `nodes` have name, x, y, kind, tier, about; `edges` have cause, effect, sign, state, reason;
    `crossings` counts. `x` is the tier's number, `y` lies in [0, 1]. Edges of a graph without tests are "hypothesised".
    """
    plain = graph if isinstance(graph, CausalGraph) else graph.graph
    edges = _edges(graph)
    order = tier_order(plain, [(edge["cause"], edge["effect"]) for edge in edges])
    y = {name: (place + 0.5) / len(names) for names in order for place, name in enumerate(names)}
    return {
        "title": plain.title,
        "tiers": list(plain.tiers),
        "nodes": [
            {"name": node.name, "x": plain.tier(node.name), "y": y[node.name]}
            | {"kind": node.kind, "tier": node.tier, "about": node.about}
            for node in plain.nodes
        ],
        "edges": edges,
        "crossings": crossings(order, [(edge["cause"], edge["effect"]) for edge in edges]),
    }


def tier_order(graph: CausalGraph, edges: Sequence[Pair]) -> Order:
    """The nodes of every tier from bottom to top: the best of several barycentre sweeps, ties by the order given."""
    order: Order = [[node.name for node in graph.nodes if node.tier == tier] for tier in graph.tiers]
    best, fewest = order, crossings(order, edges)
    for sweep in range(SWEEPS):
        order = _swept(order, edges, forward=sweep % 2 == 0)
        count = crossings(order, edges)
        if count < fewest:
            best, fewest = order, count
    return best


def crossings(order: Order, edges: Sequence[Pair]) -> int:
    """How many pairs of edges between the same two tiers cross."""
    place = _places(order)
    spans = [(*place[cause], *place[effect]) for cause, effect in edges]
    return sum(
        (a[0], a[2]) == (b[0], b[2]) and (a[1] - b[1]) * (a[3] - b[3]) < 0
        for number, a in enumerate(spans)
        for b in spans[:number]
    )


def _places(order: Order) -> dict[str, tuple[int, float]]:
    return {name: (tier, (at + 0.5) / len(names)) for tier, names in enumerate(order) for at, name in enumerate(names)}


def _swept(order: Order, edges: Sequence[Pair], *, forward: bool) -> Order:
    """Every tier sorted by the mean height of its neighbours in the tiers already swept."""
    swept = [list(names) for names in order]
    tiers = range(1, len(order)) if forward else range(len(order) - 2, -1, -1)
    for tier in tiers:
        place = _places(swept)
        heights = {name: _height(name, tier, place, edges, forward=forward) for name in swept[tier]}
        swept[tier].sort(key=heights.__getitem__)
    return swept


def _height(
    name: str, tier: int, place: Mapping[str, tuple[int, float]], edges: Sequence[Pair], *, forward: bool
) -> float:
    others = [pair[0] if pair[1] == name else pair[1] for pair in edges if name in pair]
    near = [place[other][1] for other in others if (place[other][0] < tier) == forward and place[other][0] != tier]
    return float(np.mean(near)) if near else place[name][1]


def _edges(graph: CausalGraph | RefinedGraph) -> list[dict[str, Any]]:
    if isinstance(graph, CausalGraph):
        parts: Sequence[Any] = graph.edges
        return [_drawn(edge, "hypothesised", edge.because) for edge in parts]
    return [_drawn(edge, edge.state, edge.reason) for edge in graph.edges]


def _drawn(edge: Any, state: str, reason: str) -> dict[str, Any]:
    return {"cause": edge.cause, "effect": edge.effect, "sign": edge.sign, "state": state, "reason": reason}
