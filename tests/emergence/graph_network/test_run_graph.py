from dataclasses import replace

import numpy as np
import pytest

from imprint.emergence.graph_network import RunGraph, complete
from imprint.errors import InputError


def small() -> RunGraph:
    """Two runs of three components, three questions: abilities 0 and 1 in run 0, ability 1 in run 1."""
    return RunGraph(
        evidence=np.arange(6.0).reshape(-1, 1),
        evidence_run=np.array([0, 1, 0, 1, 0, 1]),
        evidence_node=np.array([0, 0, 1, 1, 2, 2]),
        questions=np.zeros((3, 1)),
        question_run=np.array([0, 0, 1]),
        question_ability=np.array([0, 1, 1]),
        emerged=np.array([True, False, True]),
    )


def test_edges_stay_within_runs_and_follow_kinship():
    kinship = np.array([[True, False], [False, True], [False, True]])
    found = {tuple(pair) for pair in small().edges(kinship).T.tolist()}
    assert found == {(0, 0), (2, 1), (4, 1), (3, 2), (5, 2)}
    assert small().edges(np.zeros((3, 2), dtype=bool)).shape == (2, 0)


def test_without_a_graph_everything_is_heard_but_the_task_itself():
    everything = complete(np.zeros((3, 2), dtype=bool))
    assert small().edges(everything).shape == (2, 9)
    among = replace(small(), among_tasks=True).edges(everything)
    heard = [(int(small().evidence_node[node]), int(small().question_ability[asked])) for node, asked in among.T]
    assert len(heard) == 6
    assert all(node != ability for node, ability in heard)


def test_asking_some_keeps_the_evidence():
    part = small().asking(np.array([2]))
    assert len(part) == 1
    assert part.evidence.shape == (6, 1)
    assert {tuple(pair) for pair in part.edges(np.ones((3, 2), dtype=bool)).T.tolist()} == {(1, 0), (3, 0), (5, 0)}


def test_parts_must_fit():
    whole = {name: getattr(small(), name) for name in RunGraph.__dataclass_fields__}
    with pytest.raises(InputError, match="differ in length"):
        RunGraph(**{**whole, "evidence_run": np.array([0])})
    with pytest.raises(InputError, match="differ in length"):
        RunGraph(**{**whole, "emerged": np.array([True])})
