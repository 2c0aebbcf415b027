import json
from pathlib import Path

import pytest
from linear_worlds import chain_graph

from imprint.emergence.graph import CausalGraph, read_graph
from imprint.errors import ConfigError

TIERS = ["early", "late"]
NODES = [{"name": "A", "kind": "data", "tier": "early"}, {"name": "Y", "kind": "ability", "tier": "late"}]
YAML = """
title: two nodes
tiers: [early, late]
nodes:
  - {name: A, kind: data, tier: early, about: share of repeats}
  - {name: Y, kind: ability, tier: late}
edges:
  - {cause: A, effect: Y, sign: "+", because: repeats teach copying}
"""


def built(nodes=NODES, edges=(), tiers=TIERS):
    return CausalGraph.of(tiers=tiers, nodes=nodes, edges=edges)


def test_reads_a_file(tmp_path: Path):
    path = tmp_path / "graph.yaml"
    path.write_text(YAML)
    graph = read_graph(path)
    assert graph.names == ("A", "Y")
    assert graph.edges[0].sign == "+"
    assert graph.edges[0].because == "repeats teach copying"
    assert graph.digraph.nodes["Y"]["subset"] == 1
    assert CausalGraph.from_dict(json.loads(json.dumps(graph.as_dict()))) == graph


def test_paths_and_time():
    graph = chain_graph()
    assert graph.has_path("A", "C")
    assert not graph.has_path("A", "D")
    assert graph.may_cause("C", "D")
    assert not graph.may_cause("C", "A")
    assert not graph.may_cause("A", "A")
    assert graph.notes == ("nothing in the graph is thought to cause the ability 'D'",)


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        ([], [], "no nodes"),
        ([*NODES, NODES[0]], [], "'A' is defined twice"),
        ([{"name": "A", "kind": "data", "tier": "dawn"}], [], "unknown tier 'dawn'"),
        ([{"name": "A", "kind": "thing", "tier": "early"}], [], "unknown kind 'thing'"),
        ([{"name": "A", "tier": "early"}], [], "node 1 of the causal graph has no 'kind'"),
        ([{**NODES[0], "colour": "red"}], [], "unknown key 'colour'"),
        (NODES, [{"cause": "A", "effect": "Z"}], "A -> Z names the unknown node 'Z'"),
        (NODES, [{"cause": "A", "effect": "A"}], "A -> A is a loop"),
        (NODES, [{"cause": "A", "effect": "Y", "sign": "up"}], "unknown sign 'up'"),
        (NODES, [{"cause": "A", "effect": "Y"}, {"cause": "A", "effect": "Y"}], "A -> Y is listed twice"),
        (NODES, [{"cause": "Y", "effect": "A"}], "Y -> A goes backward in time"),
    ],
)
def test_refuses_what_is_no_causal_graph(nodes, edges, said: str):
    with pytest.raises(ConfigError, match=said):
        built(nodes, edges)


def test_refuses_a_cycle_within_a_tier():
    nodes = [{"name": name, "kind": "dynamics", "tier": "late"} for name in "PQR"]
    ring = [{"cause": a, "effect": b} for a, b in ("PQ", "QR", "RP")]
    with pytest.raises(ConfigError, match="cycle \\(P -> Q -> R\\)"):
        built(nodes, ring)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- a\n", "top level must be a mapping"),
        ("tiers: [a]\nnodes: []\n", "'edges' is missing or no list"),
        ("tiers: [a]\nnodes: [x]\nedges: []\n", "'x' under nodes is no mapping"),
        ("a: [", "not readable as YAML"),
        (YAML + "colour: red\n", "unknown key 'colour'"),
        (YAML.replace("effect: Y", "effect: Z"), "unknown node 'Z'"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str, said: str):
    path = tmp_path / "graph.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said) as caught:
        read_graph(path)
    assert str(caught.value).startswith(str(path))
    with pytest.raises(ConfigError, match="no such file"):
        read_graph(tmp_path / "missing.yaml")
