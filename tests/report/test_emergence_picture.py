"""The drawing of a causal graph: arrows begin and end where they should, and hide behind nothing."""

import re
from itertools import pairwise

import pytest

from imprint.report.emergence_graph import HEIGHT, WIDTH, picture
from imprint.report.emergence_records import EdgeRecord, GraphRecord, NodeRecord

NUMBER = re.compile(r"-?\d+\.?\d*")


def node(name, x, y, kind="data"):
    return NodeRecord(name=name, kind=kind, tier=f"t{x}", about="", x=x, y=y)


def edge(cause, effect, state="supported", sign="+"):
    return EdgeRecord(
        cause=cause, effect=effect, hypothesised=sign, sign=sign, state=state, reason="because.", because=""
    )


def graph(*edges, nodes=None, tiers=3):
    nodes = nodes or (
        node("A", 0, 0.25), node("B", 0, 0.75), node("M", 1, 0.25, "dynamics"), node("N", 1, 0.75, "dynamics"),
        node("Y", 2, 0.5, "ability"),
    )  # fmt: skip
    return GraphRecord(title="", tiers=tuple(f"t{place}" for place in range(tiers)), nodes=nodes, edges=edges)


def points(path):
    numbers = [float(found) for found in NUMBER.findall(path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def box(drawn, name):
    """Left, top, right, bottom."""
    found = next(one for one in drawn.boxes if one.record.name == name)
    left = found.middle - WIDTH / 2
    top = float(NUMBER.findall(found.outline)[1])
    return left, top, left + WIDTH, top + HEIGHT


def test_an_arrow_leaves_its_cause_on_the_right_and_meets_its_effect_on_the_left():
    drawn = picture(graph(edge("A", "M")))
    first, *_, last = points(drawn.arrows[0].path)
    left, right = box(drawn, "A"), box(drawn, "M")
    assert first == pytest.approx((left[2], (left[1] + left[3]) / 2), abs=0.1)
    assert last == pytest.approx((right[0], (right[1] + right[3]) / 2), abs=0.1)


def test_time_runs_from_left_to_right_and_nothing_leaves_the_picture():
    drawn = picture(graph(edge("A", "Y"), edge("B", "Y"), edge("M", "N")))
    columns = [x for _, x in drawn.columns]
    assert columns == sorted(columns)
    for arrow in drawn.arrows:
        assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in points(arrow.path))


@pytest.mark.parametrize("many", [1, 2, 5])
def test_arrows_that_skip_a_tier_pass_between_its_nodes_and_beside_each_other(many):
    full = [node(f"A{n}", 0, (n + 0.5) / 5) for n in range(5)]
    middle = [node(f"M{n}", 1, (n + 0.5) / 5) for n in range(5)]
    drawn = picture(graph(*(edge(f"A{n}", "Y") for n in range(many)), nodes=(*full, *middle, node("Y", 2, 0.5))))
    boxes = [box(drawn, f"M{n}") for n in range(5)]
    lanes = [y for arrow in drawn.arrows for x, y in points(arrow.path) if boxes[0][0] <= x <= boxes[0][2]]
    assert len(lanes) >= 2 * many
    for lane in lanes:
        assert not any(top < lane < bottom for _, top, _, bottom in boxes)
    assert len({round(lane, 1) for lane in lanes}) == many


def test_arrows_of_one_node_have_doors_of_their_own_in_the_order_of_the_other_ends():
    drawn = picture(graph(edge("B", "Y"), edge("A", "Y"), edge("N", "Y"), edge("M", "Y")))
    ends = {arrow.record.cause: points(arrow.path)[-1][1] for arrow in drawn.arrows}
    assert len(set(ends.values())) == 4
    assert ends["M"] < ends["N"]
    assert ends["A"] < ends["B"]


def test_an_arrow_within_a_tier_goes_round_on_the_right():
    drawn = picture(graph(edge("M", "N")))
    way = points(drawn.arrows[0].path)
    assert way[0][0] == way[-1][0] == pytest.approx(box(drawn, "M")[2])
    assert all(x > way[0][0] for x, _ in way[1:-1])


def test_the_faint_lie_below_and_signs_lie_on_their_arrows():
    drawn = picture(graph(edge("A", "M"), edge("B", "N", "dropped", "-"), edge("A", "Y", "undecided", "?")))
    assert [arrow.record.state for arrow in drawn.arrows] == ["dropped", "undecided", "supported"]
    assert [arrow.sign for arrow in drawn.arrows] == ["−", "?", "+"]
    for arrow in drawn.arrows:
        xs, ys = zip(*points(arrow.path), strict=True)
        assert min(xs) < arrow.sign_x < max(xs)
        assert min(ys) <= arrow.sign_y <= max(ys)


def test_the_words_list_every_node_and_edge():
    drawn = picture(graph(edge("A", "M"), edge("B", "N", "dropped", "-")))
    assert drawn.alt == (
        "Causal graph, time from left to right. t0: A (data), B (data). t1: M (dynamics), N (dynamics). t2: Y (ability)."
        " Edges supported: A → M (+); dropped: B → N (−)."
    )


def test_a_graph_without_edges_is_boxes_and_a_sentence():
    drawn = picture(graph())
    assert (drawn.arrows, len(drawn.boxes)) == ((), 5)
    assert drawn.alt.endswith("Edges none.")


def test_long_names_are_two_lines_within_their_box():
    drawn = picture(graph(nodes=(node("a name that is much too long for any box in the world", 0, 0.5),), tiers=1))
    (first, y1), (second, y2) = drawn.boxes[0].lines
    assert (first, second[-1]) == ("a name that is much", "…")
    _, top, _, bottom = box(drawn, drawn.boxes[0].record.name)
    assert top < y1 < y2 < drawn.boxes[0].kind_y < bottom


def test_kinds_differ_in_outline():
    kinds = ("data", "component", "dynamics", "optimiser", "ability")
    outlines = [picture(graph(nodes=(node("A", 0, 0.5, kind),), tiers=1)).boxes[0].outline for kind in kinds]
    assert all(one != other for one, other in pairwise(sorted(outlines)))
