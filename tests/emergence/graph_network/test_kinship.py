import numpy as np

from imprint.emergence.graph import CausalGraph
from imprint.emergence.graph_network import ancestral, nearest_kin, shuffled


def test_ancestors_of_a_refined_graph():
    nodes = [{"name": name, "kind": "component", "tier": "t"} for name in "abc"]
    nodes += [{"name": name, "kind": "ability", "tier": "u"} for name in "xy"]
    edges = [{"cause": cause, "effect": effect} for cause, effect in (("a", "b"), ("b", "x"), ("c", "y"))]
    graph = CausalGraph.of(tiers=["t", "u"], nodes=nodes, edges=edges)
    found = ancestral(graph, ["a", "b", "c"], ["x", "y"])
    assert found.tolist() == [[True, False], [True, False], [False, True]]


def test_kin_share_rare_words():
    words = [{"arithmetic", "text"}, {"arithmetic", "text"}, {"poetry", "text"}, {"poetry", "text"}, {"text"}]
    kin = nearest_kin(words, most=1)
    assert np.argwhere(kin).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]  # "text", which all have, makes nobody kin


def test_shuffled_edges_are_as_many_and_no_more_right_than_by_chance():
    kin = nearest_kin([{word} for word in "aabbccddeeff"])
    others = [shuffled(kin, seed=seed, among_tasks=True) for seed in range(200)]
    assert {int(other.sum()) for other in others} == {int(kin.sum())}
    assert not any(other.diagonal().any() or np.array_equal(other, kin) for other in others)
    assert np.array_equal(others[0], shuffled(kin, seed=0, among_tasks=True))
    kept = np.mean([(other & kin).sum() / kin.sum() for other in others])
    assert abs(kept - 1 / 11) < 0.03  # a task's kin is any of the 11 others alike


def test_shuffling_components_keeps_how_many_an_ability_needs():
    between = np.zeros((6, 9), dtype=bool)
    between[0], between[1, :4] = True, True
    moved = shuffled(between, seed=0)
    assert sorted(moved.sum(1)) == sorted(between.sum(1))
    assert moved.sum(0).tolist() == between.sum(0).tolist()
