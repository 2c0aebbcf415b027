import builtins
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from imprint.emergence.graph_network import NetworkSettings, RunGraph, fit_network
from imprint.errors import ConfigError

NEEDS_EXTRA = pytest.mark.skipif(find_spec("torch_geometric") is None, reason="needs the extra 'graph'")
QUICK = NetworkSettings(epochs=60, inits=1, width=8)
KIN = np.array([[True], [True], [False]])


def needs_both(runs: int = 200, *, seed: int = 0) -> RunGraph:
    """One ability a run, there where the first two of three components are."""
    strength = np.random.default_rng(seed).uniform(0, 1, (runs, 3))
    return RunGraph(
        evidence=strength.reshape(-1, 1),
        evidence_run=np.repeat(np.arange(runs), 3),
        evidence_node=np.tile(np.arange(3), runs),
        questions=np.full((runs, 1), np.nan),
        question_run=np.arange(runs),
        question_ability=np.zeros(runs, dtype=int),
        emerged=strength[:, :2].min(axis=1) > 0.3,
    )


def agreed(kinship: np.ndarray) -> float:
    known, new = needs_both(), needs_both(seed=1)
    answer = fit_network(known, known.edges(kinship), settings=QUICK)
    return float(np.mean((answer(new, new.edges(kinship)) > 0.5) == new.emerged))


@NEEDS_EXTRA
def test_it_learns_that_both_are_needed_only_along_the_right_edges():
    assert agreed(KIN) > 0.9
    assert agreed(KIN[::-1]) < 0.85


@NEEDS_EXTRA
def test_answers_are_the_same_twice_and_leave_the_generator_alone():
    known = needs_both(40)
    edges = known.edges(KIN)
    state = torch.random.get_rng_state()
    first = fit_network(known, edges, settings=QUICK)(known, edges)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(first, fit_network(known, edges, settings=QUICK)(known, edges))
    assert not np.array_equal(first, fit_network(known, edges, settings=QUICK, seed=1)(known, edges))
    assert first.min() > 0
    assert first.max() < 1


@NEEDS_EXTRA
def test_the_order_of_evidence_and_edges_does_not_matter():
    known, new = needs_both(40), needs_both(20, seed=1)
    edges = known.edges(KIN)
    answer = fit_network(known, edges, settings=QUICK)
    mixed = new.edges(KIN)[:, np.random.default_rng(0).permutation(new.edges(KIN).shape[1])]
    assert answer(new, mixed) == pytest.approx(answer(new, new.edges(KIN)))


@NEEDS_EXTRA
def test_a_question_without_edges_is_answered():
    known = needs_both(40)
    answer = fit_network(known, known.edges(KIN), settings=QUICK)
    said = answer(known, np.zeros((2, 0), dtype=np.int64))
    assert np.isfinite(said).all()
    assert np.ptp(said) == 0


def test_a_missing_extra_is_said(monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name.startswith("torch_geometric"):
            raise ImportError("no torch-geometric", name="torch_geometric")
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    known = needs_both(10)
    with pytest.raises(ConfigError, match="pip install 'imprint\\[graph\\]'"):
        fit_network(known, known.edges(KIN), settings=QUICK)
