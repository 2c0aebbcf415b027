from dataclasses import replace

import numpy as np
import pytest

from imprint.emergence.graph_network import curve_graph
from imprint.emergence.trajectories import curves, known_questions, trajectories
from imprint.errors import InputError
from planted_curves import planted_table


@pytest.fixture(scope="module")
def whole():
    return curves(trajectories(planted_table()), "params")


def graph_of(curves_, asked):
    tasks = sorted({curve.task for curve in curves_})
    return curve_graph(curves_, asked, np.zeros((len(asked), 1)), tasks), tasks


def test_the_evidence_is_every_task_of_the_line_up_to_the_origin(whole):
    asked = known_questions(whole, fewest=2)[:20]
    world, tasks = graph_of(whole, asked)
    question = asked[0]
    curve = whole[question.curve]
    origin = curve.x[question.count - 1]
    mine = world.evidence_run == world.question_run[0]
    there = {other.task for other in whole if other.line == curve.line and other.x[0] <= origin + 1e-9}
    assert {tasks[node] for node in world.evidence_node[mine]} == there
    row = np.flatnonzero(mine & (world.evidence_node == tasks.index(curve.task)))[0]
    seen = slice(0, question.count)
    bar = curve.threshold[question.count - 1]
    assert world.evidence[row, 0] == pytest.approx(curve.z[question.count - 1] - bar)
    assert world.evidence[row, 1] == pytest.approx(curve.z[seen].max() - bar)
    assert world.emerged[0] == question.emerged


def test_the_future_cannot_be_seen(whole):
    """A mutation that would leak: every score beyond the origin is changed, and nothing that is read may change."""
    asked = known_questions(whole, fewest=2)[:20]
    last = max(whole[question.curve].x[question.count - 1] for question in asked)
    changed = tuple(
        replace(c, z=np.where(c.x > last + 1e-9, 0.99, c.z), emerged=c.emerged | (c.x > last + 1e-9)) for c in whole
    )
    assert any(not np.array_equal(a.z, b.z) for a, b in zip(whole, changed, strict=True))
    assert np.array_equal(graph_of(whole, asked)[0].evidence, graph_of(changed, asked)[0].evidence)


def test_an_unknown_task_is_refused(whole):
    asked = known_questions(whole, fewest=2)[:1]
    with pytest.raises(InputError, match="is not among the tasks"):
        curve_graph(whole, asked, np.zeros((1, 1)), ["nothing"])
