import json

from linear_worlds import chain_graph, simulate

from imprint.emergence import graph as causal
from imprint.emergence.graph import CausalGraph, drawing
from imprint.emergence.graph.drawing import crossings


def test_time_runs_from_left_to_right_and_every_node_has_a_place():
    plan = drawing(chain_graph())
    places = {node["name"]: (node["x"], node["y"]) for node in plan["nodes"]}
    assert {name: x for name, (x, _) in places.items()} == {"A": 0, "B": 1, "C": 2, "D": 2}
    assert len(set(places.values())) == 4
    assert all(0 < y < 1 for _, y in places.values())
    assert {edge["state"] for edge in plan["edges"]} == {"hypothesised"}
    json.dumps(plan)


def test_crossings_that_can_be_undone_are():
    nodes = [{"name": f"{side}{n}", "kind": "dynamics", "tier": side} for side in "lr" for n in range(4)]
    edges = [{"cause": f"l{n}", "effect": f"r{3 - n}"} for n in range(4)]
    graph = CausalGraph.of(tiers=["l", "r"], nodes=nodes, edges=edges)
    given = [[f"{side}{n}" for n in range(4)] for side in "lr"]
    assert crossings(given, [edge.pair for edge in graph.edges]) == 6
    assert drawing(graph)["crossings"] == 0


def test_tested_edges_carry_their_state():
    graph = chain_graph()
    seen = simulate({("A", "B"): 2.0}, {"without A": {"A": -4.0}})
    plan = drawing(causal.refine(graph, causal.test_edges(graph, seen)))
    assert {(edge["cause"], edge["effect"]): edge["state"] for edge in plan["edges"]} == {
        ("A", "B"): "supported",
        ("B", "C"): "undecided",
    }
    assert all(edge["reason"] for edge in plan["edges"])
