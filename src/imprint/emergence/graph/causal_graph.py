"""The causal graph: which components, dynamics, data and optimiser settings are thought to cause which abilities, in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import networkx as nx

from imprint.errors import ConfigError

Kind = Literal["component", "dynamics", "data", "optimiser", "ability"]
Sign = Literal["+", "-", "?"]
KINDS: tuple[str, ...] = get_args(Kind)
SIGNS: tuple[str, ...] = get_args(Sign)
KEYS = ("title", "tiers", "nodes", "edges")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """Something that a run sets or measures; `tier` names when it is fixed (data before dynamics before abilities)."""

    name: str
    kind: Kind
    tier: str
    about: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """A hypothesis: changing `cause` changes `effect` with nothing between. "+": raising the cause raises the effect."""

    cause: str
    effect: str
    sign: Sign = "?"
    because: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        """Cause and effect."""
        return self.cause, self.effect


@dataclass(frozen=True, kw_only=True)
class CausalGraph:
    """A directed acyclic graph of typed nodes in time tiers, the first tier earliest.

    Raises:
        ConfigError: a node or edge twice, an unknown node, tier, kind or sign, a self loop, a cycle, or an edge whose effect
            lies in an earlier tier than its cause.

    Trust: the edges are hypotheses until an intervention has tested them (`test_edges`, `refine`).
    """

    title: str
    tiers: tuple[str, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        """Refuse what is no causal graph."""
        _check_nodes(self.tiers, self.nodes)
        _check_edges(self.edges, {node.name: self.tiers.index(node.tier) for node in self.nodes})
        if not nx.is_directed_acyclic_graph(self.digraph):
            ring = " -> ".join([cause for cause, _ in nx.find_cycle(self.digraph)])
            raise ConfigError(
                f"the causal graph has a cycle ({ring}): take one of these edges out, or unroll it in time tiers"
            )

    @classmethod
    def of(
        cls,
        *,
        tiers: Sequence[str],
        nodes: Iterable[Node | Mapping[str, Any]],
        edges: Iterable[Edge | Mapping[str, Any]],
        title: str = "",
    ) -> "CausalGraph":
        """The graph of nodes and edges given as such or as plain mappings."""
        return cls(
            title=title,
            tiers=tuple(tiers),
            nodes=tuple(one if isinstance(one, Node) else _node(one, place) for place, one in enumerate(nodes, 1)),
            edges=tuple(one if isinstance(one, Edge) else _edge(one, place) for place, one in enumerate(edges, 1)),
        )

    @classmethod
    def from_dict(cls, content: object) -> "CausalGraph":
        """The graph that `as_dict` wrote, or that somebody wrote by hand.

        Raises:
            ConfigError: it is no mapping with title, tiers, nodes and edges, or no causal graph.
        """
        return cls.of(**_graph_content(content))

    def as_dict(self) -> dict[str, Any]:
        """Plain words, ready for JSON and YAML."""
        return {
            "title": self.title,
            "tiers": list(self.tiers),
            "nodes": [asdict(node) for node in self.nodes],
            "edges": [asdict(edge) for edge in self.edges],
        }

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """The NetworkX graph; `subset` is a node's tier number, as `multipartite_layout` reads it."""
        graph = nx.DiGraph(title=self.title)
        for node in self.nodes:
            graph.add_node(node.name, **asdict(node), subset=self.tiers.index(node.tier))
        for edge in self.edges:
            graph.add_edge(edge.cause, edge.effect, sign=edge.sign, because=edge.because)
        return graph

    @property
    def names(self) -> tuple[str, ...]:
        """Every node's name, in order."""
        return tuple(node.name for node in self.nodes)

    @property
    def abilities(self) -> tuple[str, ...]:
        """The names of the abilities."""
        return tuple(node.name for node in self.nodes if node.kind == "ability")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is allowed and yet worth a look."""
        orphans = [name for name in self.abilities if not self.digraph.in_degree(name)]
        return tuple(f"nothing in the graph is thought to cause the ability '{name}'" for name in orphans)

    def tier(self, name: str) -> int:
        """The number of the node's tier, 0 the earliest."""
        return int(self.digraph.nodes[name]["subset"])

    def may_cause(self, cause: str, effect: str) -> bool:
        """Whether time allows it: another node, not in an earlier tier."""
        return cause != effect and self.tier(effect) >= self.tier(cause)

    def has_path(self, cause: str, effect: str) -> bool:
        """Whether the graph explains an effect of `cause` on `effect`, directly or through others."""
        return bool(nx.has_path(self.digraph, cause, effect))

    def with_edges(self, edges: Iterable[Edge]) -> "CausalGraph":
        """The same nodes with other edges."""
        return CausalGraph(title=self.title, tiers=self.tiers, nodes=self.nodes, edges=tuple(edges))


def _node(content: Mapping[str, Any], place: int) -> Node:
    _known_keys(content, ("name", "kind", "tier"), ("about",), f"node {place}")
    if content["kind"] not in KINDS:
        raise ConfigError(f"node '{content['name']}' has the unknown kind '{content['kind']}': use {', '.join(KINDS)}")
    return Node(**{key: _text(value) for key, value in content.items()})


def _edge(content: Mapping[str, Any], place: int) -> Edge:
    _known_keys(content, ("cause", "effect"), ("sign", "because"), f"edge {place}")
    if content.get("sign", "?") not in SIGNS:
        name = f"{content['cause']} -> {content['effect']}"
        raise ConfigError(f'the edge {name} has the unknown sign \'{content["sign"]}\': use "+", "-" or "?"')
    return Edge(**{key: _text(value) for key, value in content.items()})


def _text(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else str(value)


def _known_keys(content: Mapping[str, Any], needed: tuple[str, ...], allowed: tuple[str, ...], where: str) -> None:
    if missing := [key for key in needed if not content.get(key)]:
        raise ConfigError(
            f"{where} of the causal graph has no '{missing[0]}': a {where.split()[0]} needs {', '.join(needed)}"
        )
    if unknown := [key for key in content if key not in (*needed, *allowed)]:
        raise ConfigError(
            f"{where} of the causal graph has the unknown key '{unknown[0]}': use {', '.join((*needed, *allowed))}"
        )


def _check_nodes(tiers: tuple[str, ...], nodes: tuple[Node, ...]) -> None:
    if not nodes:
        raise ConfigError("the causal graph has no nodes: name at least a cause and an ability")
    if repeated := _repeated(tiers):
        raise ConfigError(f"the tier '{repeated}' is listed twice: every tier has one place in time")
    if repeated := _repeated([node.name for node in nodes]):
        raise ConfigError(f"the node '{repeated}' is defined twice: keep one of the two")
    for node in nodes:
        if node.tier not in tiers:
            raise ConfigError(f"node '{node.name}' lies in the unknown tier '{node.tier}': use {', '.join(tiers)}")


def _check_edges(edges: tuple[Edge, ...], tiers: dict[str, int]) -> None:
    for edge in edges:
        name = f"the edge {edge.cause} -> {edge.effect}"
        for end in edge.pair:
            if end not in tiers:
                raise ConfigError(f"{name} names the unknown node '{end}': define it under nodes or correct the name")
        if edge.cause == edge.effect:
            raise ConfigError(f"{name} is a loop: a node cannot cause itself; unroll it in time tiers")
        if tiers[edge.effect] < tiers[edge.cause]:
            raise ConfigError(
                f"{name} goes backward in time: the effect's tier comes before the cause's; turn it round"
            )
    if repeated := _repeated([f"{edge.cause} -> {edge.effect}" for edge in edges]):
        raise ConfigError(f"the edge {repeated} is listed twice: keep one of the two")


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)


def _graph_content(content: object) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(f"not a causal graph: the top level must be a mapping with {', '.join(KEYS)}")
    if unknown := [key for key in content if key not in KEYS]:
        raise ConfigError(f"unknown key '{unknown[0]}': use {', '.join(KEYS)}")
    for key in KEYS[1:]:
        if not isinstance(content.get(key), list):
            raise ConfigError(f"'{key}' is missing or no list")
    for key in KEYS[2:]:
        if strays := [one for one in content[key] if not isinstance(one, Mapping)]:
            raise ConfigError(f"'{strays[0]}' under {key} is no mapping")
    return {
        "title": str(content.get("title") or ""),
        "tiers": [str(tier) for tier in content["tiers"]],
        "nodes": content["nodes"],
        "edges": content["edges"],
    }
