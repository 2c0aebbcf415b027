import pytest
import torch
from handmade_heads import CONTEXT, LOUD, VOCABULARY
from ordinal_heads import successor_transformer, writing_transformer
from tiny_families import tiny

from imprint.errors import ConfigError
from imprint.mechanisms.head_table import initial_maxima, score_heads
from imprint.mechanisms.successor import ordinal_pairs, successor_probe
from imprint.models import Architecture, induction_transformer

NUMBERS, DAYS = range(10, 21), range(30, 37)


@pytest.fixture(scope="module")
def probe():
    return successor_probe(ordinal_pairs(NUMBERS, DAYS), bos=0)


def scores(model, probe):
    return probe.rows(model).mean(-1)


def test_pairs_of_lists():
    assert ordinal_pairs([1, 2, 3], [7, 8]) == [(1, 2), (2, 3), (7, 8)]
    assert ordinal_pairs([1, 2, 3], [7, 8], cyclic=True) == [(1, 2), (2, 3), (7, 8), (3, 1), (8, 7)]


def test_the_successor_head_scores_one_and_heads_that_write_elsewhere_zero(probe):
    model = successor_transformer()
    torch.testing.assert_close(scores(model, probe), torch.tensor([[0.0, 0], [1, 0]], dtype=torch.float64))
    torch.testing.assert_close(probe.hits(model).mean(-1), torch.tensor([[0.0, 0], [1, 0]], dtype=torch.float64))


def test_a_copier_lowers_the_successor_like_any_other_token(probe):
    model = induction_transformer(50, CONTEXT)
    assert scores(model, probe)[1, 0].item() == pytest.approx(-1 / 17)  # 18 candidates, one of them raised
    assert probe.hits(model).sum() == 0


def test_only_the_successor_head_is_named(probe):
    found = score_heads(successor_transformer(), probe)
    assert [head.role for head in found.heads] == ["", "", "successor", ""]
    assert found.best().p == pytest.approx(1 / 200)
    assert score_heads(induction_transformer(50, CONTEXT), probe).best() is None


def test_the_wrong_order_breaks_it():
    """Mutation: a head that writes the one after next is none, except for a list in steps of two."""
    model = successor_transformer(step=2)
    assert score_heads(model, successor_probe(ordinal_pairs(NUMBERS), bos=0)).best() is None
    assert scores(model, successor_probe(ordinal_pairs(range(10, 31, 2))))[1, 0].item() == pytest.approx(1.0)
    backwards = [(b, a) for a, b in ordinal_pairs(NUMBERS)]
    assert scores(successor_transformer(), successor_probe(backwards))[1, 0].item() < 0


def test_any_pairs_of_the_user():
    """A head that maps tokens as the user's pairs do scores 1, whatever the order in the vocabulary."""
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(0))
    matrix = LOUD * torch.eye(VOCABULARY, dtype=torch.float64)[order]
    pairs = [(token, int(order[token])) for token in range(5, 25)]
    assert scores(writing_transformer(matrix), successor_probe(pairs))[1, 0].item() == pytest.approx(1.0)


def test_neither_the_order_of_pairs_nor_the_batch_matters():
    model = tiny("llama")
    pairs = ordinal_pairs(range(5, 15))
    whole = successor_probe(pairs, bos=0).rows(model)
    torch.testing.assert_close(successor_probe(pairs[::-1], bos=0).rows(model), whole.flip(-1))


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama"])
def test_families_run_and_stay_in_range(name):
    rows = successor_probe(ordinal_pairs(range(5, 15)), bos=0).rows(tiny(name))
    assert rows.shape == (2, 4, 9)
    assert rows.abs().max() <= 1
    assert rows.std() > 0.01


def test_a_tie_is_no_hit():
    """All equal logits: the successor is not raised most."""
    probe = successor_probe(ordinal_pairs(NUMBERS))
    flat = writing_transformer(torch.ones(VOCABULARY, VOCABULARY, dtype=torch.float64))
    assert probe.hits(flat).sum() == 0


def test_the_null_shuffles_and_is_seeded(probe):
    model = tiny("gpt2")
    small = successor_probe(ordinal_pairs(range(5, 15)))
    null = small.null(model, draws=20, seed=0)
    assert torch.equal(null, small.null(model, draws=20, seed=0))
    assert not torch.equal(null, small.null(model, draws=20, seed=1))
    exact = successor_transformer()
    assert probe.null(exact, draws=50, seed=0).max() < 0.6


def test_fresh_models_score_little(probe):
    sizes = {"vocab_size": 50, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4}
    fresh = [Architecture(model_type="gpt2", config=sizes).initialise(seed) for seed in range(5)]
    assert initial_maxima(probe, fresh).max() < 0.2


def test_lists_that_cannot_be_used():
    with pytest.raises(ConfigError, match="too few"):
        successor_probe([(1, 2), (2, 3)])
    with pytest.raises(ConfigError, match="Token 2 has two"):
        successor_probe([(1, 2), (2, 3), (2, 4)])
