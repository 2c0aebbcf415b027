"""The causal graph as a picture: boxes in columns of time, curves between them, all in user units of one SVG."""

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from imprint.report.emergence_records import EdgeRecord, GraphRecord, NodeRecord
from imprint.report.wording import MINUS, visible

WIDTH, HEIGHT = 172.0, 52.0
"""Of a node."""
SIGNS = {"+": "+", "-": MINUS, "?": "?"}
_GAP, _ROW = 168.0, 74.0
_TOP, _SIDE, _BOTTOM = 40.0, 46.0, 8.0
_LETTERS = 22
_PORTS, _LANES = 36.0, 7.0
_CUT = 12.0
_LINE, _KIND = 14.5, 12.0
"""Height of a line of a name, and of the word for its kind."""
_SIGN_PLACES = (0.74, 0.6, 0.46)
Point = tuple[float, float]
Piece = tuple[Point, Point, Point, Point]
"""Of a cubic Bezier curve: start, two handles, end."""
Way = tuple[Point, Point, Sequence[int]]
"""From where, to where, and the tiers between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A node: its outline as an SVG path, the lines of its name, and where they go."""

    record: NodeRecord
    outline: str
    middle: float
    lines: tuple[tuple[str, float], ...]
    """Text and baseline."""
    kind_y: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrow:
    """An edge: its curve as an SVG path, and its sign beside it."""

    record: EdgeRecord
    path: str
    sign: str
    sign_x: float
    sign_y: float
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Everything that the template draws, and the words that stand for it."""

    width: float
    height: float
    columns: tuple[tuple[str, float], ...]
    """Tier and middle of its column."""
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    alt: str


def picture(graph: GraphRecord) -> Picture:
    """The graph laid out; edges that skip a tier pass between its nodes."""
    rows = max(sum(node.x == tier for node in graph.nodes) for tier in range(len(graph.tiers)))
    area = rows * _ROW
    corners = {node.name: (_left(node.x), _TOP + node.y * area - HEIGHT / 2) for node in graph.nodes}
    return Picture(
        width=2 * _SIDE + len(graph.tiers) * WIDTH + (len(graph.tiers) - 1) * _GAP,
        height=_TOP + area + _BOTTOM,
        columns=tuple((tier, _left(place) + WIDTH / 2) for place, tier in enumerate(graph.tiers)),
        boxes=tuple(_box(node, *corners[node.name]) for node in graph.nodes),
        arrows=tuple(_arrows(graph, corners)),
        alt=_alt(graph),
    )


def edge_words(edge: EdgeRecord) -> str:
    """An edge as "novel repeats \u2192 copy"."""
    return f"{edge.cause} \u2192 {edge.effect}"


def _left(tier: int) -> float:
    return _SIDE + tier * (WIDTH + _GAP)


def _box(node: NodeRecord, x: float, y: float) -> Box:
    lines = textwrap.wrap(visible(node.name), _LETTERS) or [""]
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1][: _LETTERS - 1]}\u2026"]
    first = y + (HEIGHT - _LINE * len(lines) - _KIND) / 2 + _KIND
    return Box(
        record=node,
        outline=_outline(node.kind, x, y),
        middle=x + WIDTH / 2,
        lines=tuple((line, first + _LINE * place) for place, line in enumerate(lines)),
        kind_y=first + _LINE * len(lines) - 1.5,
    )


def _outline(kind: str, x: float, y: float) -> str:
    """Each kind has a shape of its own: square, cut or round corners."""
    right, bottom = x + WIDTH, y + HEIGHT
    if kind == "optimiser":
        return (
            f"M{x + _CUT} {y}H{right - _CUT}L{right} {y + _CUT}V{bottom - _CUT}L{right - _CUT} {bottom}"
            f"H{x + _CUT}L{x} {bottom - _CUT}V{y + _CUT}Z"
        )
    round_ = {"data": 1.0, "component": 9.0, "dynamics": 18.0, "ability": HEIGHT / 2}.get(kind, 4.0)
    arc = f"A{round_} {round_} 0 0 1"
    return (
        f"M{x + round_} {y}H{right - round_}{arc} {right} {y + round_}V{bottom - round_}{arc} {right - round_} {bottom}"
        f"H{x + round_}{arc} {x} {bottom - round_}V{y + round_}{arc} {x + round_} {y}Z"
    )


def _arrows(graph: GraphRecord, corners: Mapping[str, Point]) -> list[Arrow]:
    """Faint edges first, so that the others lie on top."""
    tiers = {node.name: node.x for node in graph.nodes}
    leaving, entering = _ports(graph.edges, corners, outgoing=True), _ports(graph.edges, corners, outgoing=False)
    ways = []
    for place, edge in enumerate(graph.edges):
        same = tiers[edge.cause] == tiers[edge.effect]
        start = (corners[edge.cause][0] + WIDTH, leaving[place])
        end = (corners[edge.effect][0] + (WIDTH if same else 0.0), entering[place])
        ways.append((start, end, range(tiers[edge.cause] + 1, tiers[edge.effect])))
    lanes = _lanes(ways, corners)
    drawn = [
        _arrow(edge, _loop(start, end) if start[0] == end[0] else _route(start, end, lane), place)
        for place, (edge, (start, end, _), lane) in enumerate(zip(graph.edges, ways, lanes, strict=True))
    ]
    order = ("dropped", "undecided", "added", "supported")
    return sorted(drawn, key=lambda arrow: order.index(arrow.record.state) if arrow.record.state in order else 0)


def _ports(edges: Sequence[EdgeRecord], corners: Mapping[str, Point], *, outgoing: bool) -> list[float]:
    """The height at which each edge leaves its cause, or enters its effect.

    Spread over the node's side in the order of the other ends, so that the edges of one node do not cross at once.
    """
    own, other = ("cause", "effect") if outgoing else ("effect", "cause")
    found = [0.0] * len(edges)
    for name in corners:
        mine = [place for place, edge in enumerate(edges) if getattr(edge, own) == name]
        mine.sort(key=lambda place: (corners[getattr(edges[place], other)][1], place))
        for number, place in enumerate(mine):
            found[place] = corners[name][1] + HEIGHT / 2 + _PORTS * ((number + 0.5) / len(mine) - 0.5)
    return found


def _lanes(ways: Sequence[Way], corners: Mapping[str, Point]) -> list[list[Point]]:
    """For every edge where it enters each column that it passes: the gap nearest to the direct way, side by side in it."""
    shared: dict[tuple[int, float], list[int]] = defaultdict(list)
    for place, (start, end, between) in enumerate(ways):
        for tier in between:
            share = (_left(tier) + WIDTH / 2 - start[0]) / (end[0] - start[0])
            tops = [y for x, y in corners.values() if x == _left(tier)]
            shared[tier, _gap(start[1] + share * (end[1] - start[1]), tops)].append(place)
    found: list[list[Point]] = [[] for _ in ways]
    for (tier, gap), places in sorted(shared.items()):
        ordered = sorted(places, key=lambda place: (ways[place][0][1] + ways[place][1][1], place))
        apart = min(_LANES, (_ROW - HEIGHT) / len(ordered))
        for number, place in enumerate(ordered):
            found[place].append((_left(tier), gap + apart * (number - (len(ordered) - 1) / 2)))
    return found


def _route(start: Point, end: Point, lanes: Sequence[Point]) -> list[Piece]:
    """Cubic pieces from start to end, straight through every column passed."""
    pieces, here = [], start
    for x, y in lanes:
        pieces += [_bend(here, (x, y)), _bend((x, y), (x + WIDTH, y))]
        here = (x + WIDTH, y)
    return [*pieces, _bend(here, end)]


def _gap(wanted: float, tops: Sequence[float]) -> float:
    """The middle of the gap between nodes, above the first or below the last that is nearest to a height."""
    tops = sorted(tops)
    middles = [(above + HEIGHT + below) / 2 for above, below in pairwise(tops)]
    clear = (_ROW - HEIGHT) / 2
    gaps = [*middles, tops[0] - clear, tops[-1] + HEIGHT + clear] if tops else [wanted]
    return min(gaps, key=lambda gap: abs(gap - wanted))


def _bend(start: Point, end: Point) -> Piece:
    """A curve that leaves and arrives level."""
    middle = (start[0] + end[0]) / 2
    return start, (middle, start[1]), (middle, end[1]), end


def _loop(start: Point, end: Point) -> list[Piece]:
    """Between nodes of one tier: out to the right and back."""
    reach = 34.0 + 0.12 * abs(end[1] - start[1])
    return [(start, (start[0] + reach, start[1]), (end[0] + reach, end[1]), end)]


def _arrow(edge: EdgeRecord, pieces: Sequence[Piece], place: int) -> Arrow:
    curves = "".join(f"C{a:.1f} {b:.1f} {c:.1f} {d:.1f} {e:.1f} {f:.1f}" for _, (a, b), (c, d), (e, f) in pieces)
    (x, y), share = pieces[0][0], _SIGN_PLACES[place % len(_SIGN_PLACES)]
    sign_x, sign_y = _along(pieces[-1], share)
    return Arrow(
        record=edge,
        path=f"M{x:.1f} {y:.1f}{curves}",
        sign=SIGNS.get(edge.sign, "?"),
        sign_x=round(sign_x, 1),
        sign_y=round(sign_y, 1),
        words=f"{edge_words(edge)} ({SIGNS.get(edge.sign, '?')}), {edge.state}: {edge.reason}",
    )


def _along(piece: Piece, t: float) -> Point:
    """The point of a cubic Bezier curve at t in [0, 1]."""
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, piece, strict=True)) for axis in (0, 1))
    return x, y


def _alt(graph: GraphRecord) -> str:
    """All nodes by tier and all edges by state, in words."""
    tiers = [
        f"{tier}: {', '.join(f'{node.name} ({node.kind})' for node in graph.nodes if node.tier == tier) or 'nothing'}"
        for tier in graph.tiers
    ]
    states = [
        f"{state}: {', '.join(f'{edge_words(edge)} ({SIGNS[edge.sign]})' for edge in graph.edges if edge.state == state)}"
        for state in dict.fromkeys(edge.state for edge in graph.edges)
    ]
    return f"Causal graph, time from left to right. {'. '.join(tiers)}. Edges {'; '.join(states) or 'none'}."
