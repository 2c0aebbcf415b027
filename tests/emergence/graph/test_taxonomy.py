import numpy as np
import pytest
from linear_worlds import chain_graph, simulate

from imprint.emergence import graph as causal
from imprint.emergence.graph import CausalGraph, taxonomy
from imprint.emergence.graph.taxonomy import grouped, silhouette
from imprint.errors import InputError

CAUSES = ("p", "q", "r", "s")
ABILITIES = tuple(f"y{n}" for n in range(6))


def two_kinds(planted: bool):
    """Six abilities: with a plan, three moved by p and q, three by r and s; without, nothing moves anything."""
    graph = CausalGraph.of(
        tiers=["early", "late"],
        nodes=[{"name": name, "kind": "data", "tier": "early"} for name in CAUSES]
        + [{"name": name, "kind": "ability", "tier": "late"} for name in ABILITIES],
        edges=[],
    )
    pairs = [(cause, name) for n, name in enumerate(ABILITIES) for cause in (CAUSES[:2] if n < 3 else CAUSES[2:])]
    weights = dict.fromkeys(pairs, 1.0) if planted else {}
    arms = {f"set {name}": {name: 5.0} for name in CAUSES}
    seen = simulate(weights, arms, names=(*CAUSES, *ABILITIES), noise=0.5)
    findings = causal.test_edges(graph, seen)
    return causal.refine(graph, findings), findings


def test_abilities_with_the_same_parents_are_grouped():
    found = taxonomy(*two_kinds(True), draws=199)
    assert set(found.groups) == {ABILITIES[:3], ABILITIES[3:]}
    assert set(found.shared) == {("p", "q"), ("r", "s")}
    assert found.beyond_chance
    assert found.silhouette > 0.8
    assert "2 groups" in found.sentence


def test_without_shared_causes_there_is_no_grouping():
    found = taxonomy(*two_kinds(False), draws=199)
    assert not found.beyond_chance
    assert found.sentence.startswith("no grouping beyond chance")


def test_the_silhouette_of_two_clear_groups():
    points = np.array([0.0, 0.1, 10.0, 10.1])
    distance = np.abs(points[:, None] - points)
    labels, value = grouped(distance)
    assert len(set(labels[:2])) == len(set(labels[2:])) == 1
    assert value == pytest.approx(np.mean([1 - 0.1 / 10.05, 1 - 0.1 / 9.95] * 2))
    assert silhouette(distance, np.array([1, 2, 1, 2])) < 0


def test_two_abilities_are_no_taxonomy():
    graph = chain_graph()
    findings = causal.test_edges(graph, simulate({}, {"without A": {"A": -4.0}}))
    with pytest.raises(InputError, match="2 abilities cannot be grouped"):
        taxonomy(causal.refine(graph, findings), findings)
