import json

import numpy as np
import pytest

from imprint.emergence.graph_network import compare
from imprint.emergence.graph_network.gain import GRAPH, OWN, SHUFFLED, WITHOUT, auc_of, brier_of, difference
from imprint.errors import InputError

GENERATOR = np.random.default_rng(0)
EMERGED = GENERATOR.random(300) < 0.4
TASKS = np.repeat(np.arange(30), 10)
GOOD = np.clip(EMERGED * 0.4 + GENERATOR.random(300) * 0.6, 0, 1)[None]
NOISE = GENERATOR.random((1, 300))


def test_auc_and_brier_of_known_answers():
    emerged = np.array([True, False, True, False])
    assert auc_of(emerged, np.array([[0.9, 0.1, 0.8, 0.2]])) == 1.0
    assert auc_of(emerged, np.array([[0.9, 0.1, 0.8, 0.2], [0.1, 0.9, 0.2, 0.8]])) == 0.5
    assert auc_of(emerged, np.array([[0.5, 0.5, 0.5, 0.5]])) == 0.5
    assert np.isnan(auc_of(emerged[[0, 2]], np.array([[0.9, 0.1]])))
    assert brier_of(emerged, np.array([[1.0, 0.0, 0.5, 0.5]])) == pytest.approx(0.125)


def test_a_gain_is_claimed_only_over_all_three():
    clear = compare(EMERGED, TASKS, {GRAPH: GOOD, WITHOUT: NOISE, OWN: NOISE, SHUFFLED: NOISE}, edges=5, draws=200)
    assert clear.claimed
    assert clear.sentence.startswith("graph features gain +")
    assert clear.shuffled_gain.estimate == 0.0
    assert clear.gain.n == 30
    deaf = compare(EMERGED, TASKS, {GRAPH: GOOD, WITHOUT: NOISE, OWN: GOOD, SHUFFLED: NOISE}, edges=5, draws=200)
    assert not deaf.claimed  # a question's own features do as well: whatever helps is not the graph
    equal = compare(EMERGED, TASKS, {GRAPH: GOOD, WITHOUT: NOISE, OWN: NOISE, SHUFFLED: GOOD}, edges=5, draws=200)
    assert not equal.claimed  # shuffled edges do as well: whatever helps is not the graph
    assert equal.sentence.startswith("no gain")
    json.dumps(clear.as_dict())


def test_better_ranks_with_worse_probabilities_are_no_gain():
    extreme = np.clip(GOOD * 0.01, 0, 1)  # the same order, but all near 0
    found = compare(
        EMERGED, TASKS, {GRAPH: extreme, WITHOUT: 0.4 + 0.01 * NOISE, OWN: NOISE, SHUFFLED: NOISE}, edges=5, draws=200
    )
    assert found.ranks_better
    assert not found.claimed
    assert "the probabilities are worse" in found.sentence


def test_the_difference_turns_round_with_its_arms():
    one = difference(EMERGED, TASKS, GOOD, NOISE, control="noise", draws=200)
    other = difference(EMERGED, TASKS, NOISE, GOOD, control="good", draws=200)
    assert (one.estimate, one.low, one.high) == pytest.approx((-other.estimate, -other.high, -other.low))
    brier = difference(EMERGED, TASKS, GOOD, NOISE, metric="Brier", control="noise", draws=200)
    assert brier.estimate == pytest.approx(brier_of(EMERGED, NOISE) - brier_of(EMERGED, GOOD))
    assert brier.estimate > 0


def test_the_interval_takes_whole_tasks():
    """Ten copies of each task's questions are no more evidence than one: rows alone would shrink the interval by sqrt(10)."""
    emerged, tasks = np.repeat(EMERGED[:60], 10), np.repeat(np.arange(60), 10)
    good, noise = np.repeat(GOOD[:, :60], 10, axis=1), np.repeat(NOISE[:, :60], 10, axis=1)
    by_task = difference(emerged, tasks, good, noise, control="noise", draws=300)
    by_row = difference(emerged, np.arange(600), good, noise, control="noise", draws=300)
    assert by_task.high - by_task.low > 2 * (by_row.high - by_row.low)


def test_one_class_is_refused():
    with pytest.raises(InputError, match="all answers are the same"):
        compare(np.ones(300, dtype=bool), TASKS, {GRAPH: GOOD, WITHOUT: NOISE, OWN: NOISE, SHUFFLED: NOISE}, edges=5)
