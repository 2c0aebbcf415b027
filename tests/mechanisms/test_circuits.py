"""The induction circuit of a hand-built model: which paths are tried, and what each carries."""

from dataclasses import replace

import pytest
from handmade_heads import CONTEXT, two_back_transformer
from ordinal_heads import silence

from imprint.capabilities import random_period_probes
from imprint.mechanisms import circuit_senders, induction_circuit, locate
from imprint.models import induction_transformer

PROBES = random_period_probes(range(1, 50), rows=8, seed=0, bos=0, context=CONTEXT)


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@pytest.fixture(scope="module")
def found(model):
    return locate(model, PROBES)


def carried(paths):
    return {(path.sender, path.role) for path in paths if path.prefix_matching.low > 0.5 and path.copying.low > 1}


def test_the_circuit_is_the_previous_token_head_through_keys(model, found):
    counted = []
    paths = induction_circuit(model, PROBES[0], found, advance=counted.append)
    assert [(path.sender, path.role) for path in paths] == [
        (sender, role) for sender in ("L0.H0", "L0.H1", "L0.H0+L0.H1") for role in ("q", "k", "v")
    ]
    assert carried(paths) == {("L0.H0", "k"), ("L0.H0+L0.H1", "k")}
    assert counted == [1, 1, 1]


def test_a_silent_previous_token_head_is_no_circuit(model, found):
    """Mutation: the same heads are asked, but what is asked about says nothing any more."""
    silent = silence(induction_transformer(50, CONTEXT), "L0.H0")
    assert carried(induction_circuit(silent, PROBES[0], found)) == set()


def test_a_head_that_reads_two_back_is_asked_where_it_looks():
    probes = random_period_probes(range(1, 25), rows=8, seed=0, bos=0, context=CONTEXT)
    model = two_back_transformer()
    found = locate(model, probes)
    assert found.best().best_offset == 2
    paths = induction_circuit(model, probes[0], found)
    assert ("L0.H1", "k") in carried(paths)
    wrong = replace(found, heads=tuple(replace(head, best_offset=1) for head in found.heads))
    assert carried(induction_circuit(model, probes[0], wrong)) == set()


def test_without_an_induction_head_there_is_no_circuit(model, found):
    nothing = replace(found, heads=tuple(replace(head, role="") for head in found.heads))
    assert induction_circuit(model, PROBES[0], nothing) == []


def test_senders_are_below_the_strongest_first_and_the_layer_of_the_first_together(found):
    scores = {"L0.H0": 0.1, "L0.H1": 0.3, "L1.H0": 0.9, "L1.H1": 0.2, "L2.H0": 0.8, "L2.H1": 0.5}
    heads = tuple(replace(found.heads[0], head=name, previous_token=score) for name, score in scores.items())
    deep = replace(found, heads=heads)
    assert circuit_senders(deep, heads[4]) == ["L1.H0", "L0.H1", "L1.H1", "L0.H0", ("L1.H0", "L1.H1")]
    assert circuit_senders(deep, heads[4], count=1) == ["L1.H0", ("L1.H0", "L1.H1")]
    assert circuit_senders(deep, heads[2]) == ["L0.H1", "L0.H0", ("L0.H0", "L0.H1")]
    assert circuit_senders(deep, heads[0]) == []
    lone = replace(found, heads=heads[1:3])
    assert circuit_senders(lone, heads[2]) == ["L0.H1"]
