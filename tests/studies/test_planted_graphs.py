"""AT-EM-1, AT-EM-2 and AT-EM-6 in small worlds; the full ones are rows of `imprint calibrate`."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

from imprint.emergence.graph_network import NetworkSettings, graph_gain, shuffled
from imprint.emergence.graph_network.gain import auc_of
from imprint.errors import InputError
from imprint.studies.planted_graphs import GraphWorldSizes, graph_world_rows, loss_threshold_world, needs_both_world

NEEDS_EXTRA = pytest.mark.skipif(find_spec("torch_geometric") is None, reason="needs the extra 'graph'")
SMALL = GraphWorldSizes(
    runs=25,
    components=8,
    abilities=12,
    threshold_runs=10,
    threshold_abilities=10,
    folds=3,
    shuffles=1,
    draws=100,
    network=NetworkSettings(epochs=40, inits=1, width=8, learning_rate=0.04),
)


def test_the_threshold_world_is_the_known_one():
    """METHODS: 400 questions, threshold 2.2, slope .1: AUC of the loss .990, Brier of the true probability .037."""
    worlds = [loss_threshold_world(seed) for seed in range(20)]
    assert {len(one.world) for one in worlds} == {400}
    assert np.mean([auc_of(one.world.emerged, -one.world.questions.T) for one in worlds]) == pytest.approx(
        0.990, abs=0.003
    )
    assert np.mean([(one.bayes - one.world.emerged) ** 2 for one in worlds]) == pytest.approx(0.037, abs=0.003)


def test_neither_component_alone_is_sufficient():
    planted = needs_both_world(0)
    strength = planted.table[:, 1:]
    pair = np.array([np.flatnonzero(planted.kinship[:, ability]) for ability in planted.world.question_ability])
    one = strength[np.arange(len(strength)), pair[:, 0]]
    both = np.minimum(one, strength[np.arange(len(strength)), pair[:, 1]])
    emerged = planted.world.emerged
    assert auc_of(emerged, one[None]) < auc_of(emerged, both[None]) - 0.05
    assert emerged[one > 0.8].mean() < 0.7
    assert (planted.kinship.sum(0) == 2).all()


@NEEDS_EXTRA
def test_rows_of_small_worlds():
    rows = {(row.world.split(",")[0], row.method, row.question): row for row in graph_world_rows([0], SMALL)}
    needs = "needs two components"
    assert rows[(needs, "graph network", "gain over no graph")].passed
    assert rows[(needs, "graph network", "gain over logistic regression")].passed
    assert rows[(needs, "shuffled edges", "gain over no graph")].passed
    assert rows[("loss threshold 2.2", "graph network", "gain over no graph")].passed
    # 300 questions with shuffled answers: 4 standard errors of an AUC of .5 are about .15.
    assert abs(rows[("shuffled answers", "graph network", "which abilities emerge")].value - 0.5) < 0.15


@NEEDS_EXTRA
def test_a_wrong_graph_gains_nothing():
    planted = needs_both_world(0, SMALL)
    wrong = shuffled(planted.kinship, seed=7)
    found = graph_gain(planted.world, wrong, settings=SMALL.network, shuffles=1, draws=100)
    assert not found.claimed
    assert found.sentence.startswith("no gain")


def test_too_few_abilities_to_hold_out():
    planted = needs_both_world(0, GraphWorldSizes(runs=5, abilities=6))
    with pytest.raises(InputError, match="6 abilities in 5 folds"):
        graph_gain(planted.world, planted.kinship)


@NEEDS_EXTRA
@pytest.mark.slow
@pytest.mark.skipif("IMPRINT_LONG" not in os.environ, reason="a CPU-minute a seed; `imprint calibrate` runs all three")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_gate_of_the_full_worlds(seed: int):
    failed = [row for row in graph_world_rows([seed]) if row.passed is False]
    assert not failed
