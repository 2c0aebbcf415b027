import numpy as np
import pytest
import torch
from handmade_heads import CONTEXT
from ordinal_heads import duplicate_transformer
from tiny_families import tiny

from imprint.errors import ConfigError
from imprint.mechanisms.duplicate_token import DuplicateProbe, duplicate_probe
from imprint.mechanisms.head_table import initial_maxima, score_heads
from imprint.models import Architecture, attention_patterns

ALPHABET = range(1, 50)


@pytest.fixture(scope="module")
def model():
    return duplicate_transformer()


@pytest.fixture(scope="module")
def probe():
    return duplicate_probe(ALPHABET, rows=8, seed=0, bos=0)


def test_the_rows_hold_the_planted_duplicates_and_no_others(probe):
    lines = torch.arange(8)[:, None]
    assert torch.equal(probe.tokens[lines, probe.first], probe.tokens[lines, probe.second])
    assert (probe.first < probe.second).all()
    assert (probe.first > 0).all()
    assert {len(set(row)) for row in probe.tokens.tolist()} == {1 + 32 - 4}
    assert {len(set(row)) for row in probe.without.tolist()} == {1 + 32}
    changed = probe.tokens != probe.without
    assert torch.equal(changed.nonzero()[:, 1].reshape(8, 4), probe.second.sort().values)
    assert len((probe.second - probe.first).unique()) > 12


def test_every_score_of_the_hand_built_heads_is_known(model, probe):
    """Content alone finds the first occurrence and itself: 1/2. Position alone and uniform attention: 0."""
    scores = probe.rows(model).mean(-1)
    torch.testing.assert_close(scores[0], torch.tensor([0.0, 0.5], dtype=torch.float64))
    assert scores[1, 1] == 0
    assert probe.attention(model).mean(-1)[0, 1].item() == pytest.approx(0.5)


def test_an_induction_head_scores_below_zero(model, probe):
    """At the second occurrence it leaves uniform attention for the token after the first one."""
    wanted = -(1 / (probe.second + 1).double()).mean()
    assert probe.rows(model).mean(-1)[1, 0].item() == pytest.approx(float(wanted), abs=1e-9)


def test_a_head_that_does_not_see_itself_scores_one(probe):
    """Exact on patterns written by hand."""
    read = torch.zeros(1, 8, 1, 33, 33, dtype=torch.float64)
    for row, (first, second) in enumerate(zip(probe.first.tolist(), probe.second.tolist(), strict=True)):
        read[0, row, 0, second, first] = 1.0
    assert probe._mass(read, probe.first).tolist() == [[[1.0] * 8]]
    assert probe._mass(read.transpose(-1, -2), probe.first).abs().max() == 0  # mutation: queries and keys exchanged


def test_only_the_planted_head_is_named(model, probe):
    found = score_heads(model, probe)
    assert [head.role for head in found.heads] == ["", "duplicate token", "", ""]
    assert found.best().p == pytest.approx(1 / 200)
    assert found.null_95 < 0.2


def test_the_score_does_not_depend_on_the_batch():
    model = tiny("gpt_neox")
    probe = duplicate_probe(range(1, 31), length=12, pairs=3, rows=5, seed=1, bos=0)
    order = torch.tensor([4, 2, 0, 1, 3])
    parts = [part[order] for part in (probe.tokens, probe.without, probe.first, probe.second)]
    moved = DuplicateProbe(tokens=parts[0], without=parts[1], first=parts[2], second=parts[3])
    torch.testing.assert_close(moved.rows(model), probe.rows(model)[..., order])


def test_the_mass_is_read_pair_by_pair():
    model = tiny("llama")
    probe = duplicate_probe(range(1, 31), length=12, pairs=3, rows=2, seed=1, bos=0)
    patterns = attention_patterns(model, probe.tokens)
    for layer, row, head in ((0, 0, 1), (1, 1, 3)):
        pairs = zip(probe.first[row].tolist(), probe.second[row].tolist(), strict=True)
        by_hand = np.mean([float(patterns[layer, row, head, second, first]) for first, second in pairs])
        assert float(probe.attention(model)[layer, head, row]) == pytest.approx(by_hand)


def test_without_the_control_a_head_at_the_right_distance_would_pass(model):
    """Mutation: at distance 1 the previous-token head has attention 1, but less the control 0."""
    tokens = torch.arange(1, 9).repeat(2, 1)
    planted = tokens.clone()
    planted[:, 5] = planted[:, 4]
    places = torch.full((2, 1), 4)
    probe = DuplicateProbe(tokens=planted, without=tokens, first=places, second=places + 1)
    assert probe.attention(model)[0, 0].tolist() == pytest.approx([1.0, 1.0])
    assert probe.rows(model)[0, 0].abs().max() < 1e-9


def test_fresh_models_score_little(probe):
    sizes = {"vocab_size": 50, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4}
    fresh = [Architecture(model_type="gpt2", config=sizes).initialise(seed) for seed in range(5)]
    assert initial_maxima(probe, fresh).max() < 0.05


def test_probes_that_cannot_be_built():
    with pytest.raises(ConfigError, match="do not fit"):
        duplicate_probe(ALPHABET, length=6, pairs=4)
    with pytest.raises(ConfigError, match="as many"):
        duplicate_probe(range(10), length=12)
    with pytest.raises(ConfigError, match="BOS"):
        duplicate_probe(ALPHABET, bos=3)
