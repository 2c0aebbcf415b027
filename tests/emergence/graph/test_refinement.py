import json
from collections import Counter

import networkx as nx
import numpy as np
import polars as pl
from linear_worlds import chain_graph, simulate

from imprint.emergence import graph as causal
from imprint.emergence.graph import CausalGraph, Observations

CHAIN = {("A", "B"): 2.0, ("B", "C"): -1.5}
FULL = (("A", "B", "+"), ("B", "C", "-"), ("A", "C", "-"), ("A", "D", "+"))
SINGLE = {"without A": {"A": -4.0}, "without B": {"B": -4.0}}
JOINT = SINGLE | {"without both": {"A": -4.0, "B": -4.0}}


def refined(edges, weights, arms, *, margin=1.0, **world):
    graph = chain_graph(edges)
    return causal.refine(graph, causal.test_edges(graph, simulate(weights, arms, **world), margin=margin))


def states(found) -> dict[tuple[str, str], str]:
    return {edge.pair: edge.state for edge in found.edges}


def reason(found, cause: str, effect: str) -> str:
    return next(edge.reason for edge in found.edges if edge.pair == (cause, effect))


def test_a_chain_is_supported_and_a_missing_effect_dropped():
    found = refined(FULL, CHAIN, SINGLE)
    assert states(found) == {
        ("A", "B"): "supported",
        ("B", "C"): "supported",
        ("A", "C"): "undecided",
        ("A", "D"): "dropped",
    }
    assert "a mediated path explains it (A -> B -> C)" in reason(found, "A", "C")
    assert found.counts == {"supported": 2, "added": 0, "dropped": 1, "undecided": 1}
    assert [edge.pair for edge in found.kept.edges] == [("A", "B"), ("B", "C")]
    json.dumps(found.as_dict())


def test_setting_what_lies_between_breaks_the_dependence():
    """AT-EM-4: with B set, A no longer moves C; and where A does, the joint arm finds it."""
    gone = refined(FULL, CHAIN, JOINT)
    assert states(gone)[("A", "C")] == "dropped"
    assert "while B is held" in reason(gone, "A", "C")
    direct = refined(FULL, CHAIN | {("A", "C"): -1.0}, JOINT)
    assert states(direct)[("A", "C")] == "supported"
    assert "not only through A -> B -> C" in reason(direct, "A", "C")


def test_a_joint_arm_that_does_not_hold_its_node_decides_nothing():
    seen = simulate(CHAIN, JOINT)
    loose = seen.table.with_columns(
        value=pl.when((pl.col("arm") == "without both") & (pl.col("node") == "B"))
        .then(pl.col("value") + 1.0 + 0.1 * pl.col("seed"))
        .otherwise(pl.col("value"))
    )
    graph = chain_graph(FULL)
    findings = causal.test_edges(graph, Observations(table=loose, interventions=seen.interventions))
    assert states(causal.refine(graph, findings))[("A", "C")] == "undecided"
    assert any("does not hold B" in note for note in findings.notes)


def test_an_effect_without_a_path_is_added_once():
    """The graph knows nothing of A: of A -> B and A -> C only the first is added, since B -> C explains the second."""
    found = refined((("B", "C", "-"),), CHAIN, SINGLE)
    assert states(found) == {("B", "C"): "supported", ("A", "B"): "added"}
    added = found.in_state("added")[0]
    assert added.sign == "+"
    assert "no path for it" in added.reason


def test_the_wrong_sign_is_dropped_and_added_as_measured():
    found = refined((("A", "B", "-"),), {("A", "B"): 2.0}, {"without A": {"A": -4.0}})
    assert [(edge.pair, edge.state, edge.sign) for edge in found.edges] == [
        (("A", "B"), "dropped", "-"),
        (("A", "B"), "added", "+"),
    ]
    assert found.digraph.edges["A", "B"]["state"] == "added"


def test_what_was_never_tried_stays_undecided():
    found = refined(FULL, CHAIN, {"without A": {"A": -4.0}})
    assert states(found)[("B", "C")] == "undecided"
    assert reason(found, "B", "C") == "no arm sets 'B' alone."
    wide = refined((("A", "D", "+"),), {}, SINGLE, noise=3.0, margin={"D": 0.01})
    assert states(wide)[("A", "D")] == "undecided"
    assert "these 9 pairs show effects from" in reason(wide, "A", "D")


def test_an_ability_that_never_varies_says_nothing():
    seen = simulate(CHAIN, SINGLE)
    flat = seen.table.with_columns(value=pl.when(pl.col("node") == "D").then(0.25).otherwise(pl.col("value")))
    graph = chain_graph(FULL)
    found = causal.refine(graph, causal.test_edges(graph, Observations(table=flat, interventions=seen.interventions)))
    assert states(found)[("A", "D")] == "undecided"
    assert "no variation" in reason(found, "A", "D")


def test_paths_that_cancel_keep_the_direct_edge_open():
    cancelling = CHAIN | {("A", "C"): 3.0}
    found = refined(FULL, cancelling, SINGLE)
    assert states(found)[("A", "C")] == "undecided"
    assert "may cancel" in reason(found, "A", "C")
    assert states(refined(FULL, cancelling, JOINT))[("A", "C")] == "dropped"  # the hypothesised sign was "-"
    assert "other sign" in reason(refined(FULL, cancelling, JOINT), "A", "C")


def test_an_effect_at_one_scale_only_is_not_dropped():
    seen = simulate({}, {"without A": {"A": -4.0}}, noise=0.05)
    late = seen.table.with_columns(
        value=pl.when((pl.col("node") == "D") & (pl.col("arm") != "control"))
        .then(pl.col("value") + pl.when(pl.col("scale") == 1e6).then(3.0).otherwise(-1.5))
        .otherwise(pl.col("value"))
    )
    graph = chain_graph(FULL)
    found = causal.refine(graph, causal.test_edges(graph, Observations(table=late, interventions=seen.interventions)))
    assert states(found)[("A", "D")] == "undecided"
    assert "differs between scales" in reason(found, "A", "D")


def test_effects_both_ways_within_a_tier_are_not_added():
    nodes = [{"name": name, "kind": "dynamics", "tier": "only"} for name in "PQ"]
    graph = CausalGraph.of(tiers=["only"], nodes=nodes, edges=[])
    seen = simulate({}, {"set P": {"P": 5.0}, "set Q": {"Q": 5.0}}, names=("P", "Q"))
    moved = seen.table.with_columns(
        value=pl.when(pl.col("arm") != "control").then(pl.col("value") + 5.0).otherwise(pl.col("value"))
    )
    findings = causal.test_edges(graph, Observations(table=moved, interventions=seen.interventions))
    found = causal.refine(graph, findings)
    assert not found.edges
    assert sum("circle" in note for note in found.notes) == 2


def test_backward_effects_are_never_tested_or_added():
    """A mutation that would test against time: C is set, and A (earlier) is measured with an effect planted in it."""
    seen = simulate({}, {"set C": {"C": 5.0}})
    planted = seen.table.with_columns(
        value=pl.when((pl.col("node") == "A") & (pl.col("arm") != "control")).then(9.0).otherwise(pl.col("value"))
    )
    graph = chain_graph(())
    findings = causal.test_edges(graph, Observations(table=planted, interventions=seen.interventions))
    assert findings.of("C", "A") == ()
    assert causal.refine(graph, findings).edges == ()


def random_world(seed: int):
    """Ten nodes in three tiers; the graph lacks a third of the true edges and holds five that are not there."""
    generator = np.random.default_rng(seed)
    tier, names = [0] * 3 + [1] * 4 + [2] * 3, [f"n{place}" for place in range(10)]
    earlier = [(i, j) for j in range(10) for i in range(j) if tier[i] < tier[j]]
    weights = {
        (names[i], names[j]): float(generator.choice([-1, 1]) * generator.uniform(0.35, 0.9))
        for i, j in earlier
        if generator.random() < 0.4
    }
    absent = [(names[i], names[j]) for i, j in earlier if (names[i], names[j]) not in weights]
    wrong = [absent[place] for place in generator.choice(len(absent), 5, replace=False)]
    known = [pair for pair in weights if generator.random() < 0.67]
    kinds = ("data", "dynamics", "ability")
    graph = CausalGraph.of(
        tiers=["0", "1", "2"],
        nodes=[{"name": name, "kind": kinds[t], "tier": str(t)} for name, t in zip(names, tier, strict=True)],
        edges=[{"cause": cause, "effect": effect} for cause, effect in (*known, *wrong)],
    )
    seen = simulate(weights, {f"set {name}": {name: 4.0} for name in names[:7]}, names=names, seed=seed, noise=0.3)
    return graph, weights, causal.refine(graph, causal.test_edges(graph, seen))


def test_random_worlds_are_recovered():
    counts: Counter[tuple[str, str]] = Counter()
    for seed in range(4):
        graph, weights, found = random_world(seed)
        true = nx.DiGraph(list(weights))
        true.add_nodes_from(graph.names)
        for edge in found.edges:
            kind = "direct" if edge.pair in weights else "indirect" if nx.has_path(true, *edge.pair) else "none"
            counts[edge.state, kind] += 1
    assert counts["supported", "none"] + counts["added", "none"] <= 1
    assert counts["supported", "direct"] + counts["added", "direct"] >= 30
    assert counts["dropped", "none"] >= 10 * counts["dropped", "direct"]
    assert counts["dropped", "none"] >= 12
    assert counts["added", "direct"] >= 4 * counts["added", "indirect"]
