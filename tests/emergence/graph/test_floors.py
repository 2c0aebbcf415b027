import polars as pl
from linear_worlds import chain_graph

from imprint.emergence import graph as causal
from imprint.emergence.graph import Observations

MARGIN = {"C": 0.05, "D": 0.05}


def observed(scores, floors=("C", "D")):
    """Scores of C by scale and arm, three seeds; A is what the arm sets."""
    noise = (0.004, -0.003, 0.001)
    rows = []
    for scale, by_arm in scores.items():
        for arm, value in by_arm.items():
            for seed, off in enumerate(noise):
                run = f"{scale}-{arm}-{seed}"
                rows.append((run, seed, scale, arm, "C", value + off * (1 + (arm == "control"))))
                rows.append((run, seed, scale, arm, "A", 1.0 if arm == "control" else 0.0))
    table = pl.DataFrame(rows, schema=["run", "seed", "scale", "arm", "node", "value"], orient="row")
    return Observations(table=table, interventions={"without A": ("A",)}, floors=dict.fromkeys(floors, 0.0))


def judged(scores, **options):
    graph = chain_graph((("A", "C", "+"),))
    findings = causal.test_edges(graph, observed(scores, **options), margin=MARGIN)
    return findings.of("A", "C")[0], causal.refine(graph, findings).edges[0]


NOWHERE = {1e5: {"control": 0.0, "without A": 0.0}, 1e6: {"control": 0.01, "without A": 0.0}}
SOMEWHERE = {1e5: {"control": 0.0, "without A": 0.0}, 1e6: {"control": 0.9, "without A": 0.0}}
KEPT = {1e5: {"control": 0.0, "without A": 0.0}, 1e6: {"control": 0.9, "without A": 0.9}}


def test_an_ability_that_is_nowhere_can_lose_nothing():
    test, edge = judged(NOWHERE)
    assert not test.usable
    assert test.q is None
    assert edge.state == "undecided"
    assert "at its floor at every scale" in edge.reason


def test_without_a_floor_the_same_numbers_would_drop_the_edge():
    assert judged(NOWHERE, floors=())[1].state == "dropped"


def test_scales_at_the_floor_do_not_dilute_an_effect():
    test, edge = judged(SOMEWHERE)
    assert test.at_floor == (1e5,)
    assert edge.state == "supported"
    assert abs(test.found.effect.estimate + 0.9) < 0.01
    assert test.found.effect.n == 3
    assert abs(judged(SOMEWHERE, floors=())[0].found.effect.estimate + 0.45) < 0.01


def test_an_ability_that_is_there_and_stays_lets_the_edge_be_dropped():
    test, edge = judged(KEPT)
    assert test.at_floor == (1e5,)
    assert edge.state == "dropped"
