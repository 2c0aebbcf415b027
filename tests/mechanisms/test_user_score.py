import pytest
import torch
from handmade_heads import CONTEXT
from tiny_families import inputs, tiny

from imprint.capabilities import repeat_probe
from imprint.errors import ConfigError
from imprint.mechanisms import prefix_matching, previous_token, uniform_baseline
from imprint.mechanisms.head_table import initial_maxima, score_heads
from imprint.mechanisms.user_score import ModelScore, PatternScore, _causal_shuffle
from imprint.models import Architecture, attention_patterns, induction_transformer


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@pytest.fixture(scope="module")
def probe():
    return repeat_probe(range(1, 50), period=20, rows=6, seed=0, bos=0)


def induction_of(probe):
    return PatternScore(
        name="my induction", score=lambda patterns, _: prefix_matching(patterns, probe), tokens=probe.tokens
    )


def previous_of(tokens):
    return PatternScore(name="previous", score=lambda patterns, _: previous_token(patterns), tokens=tokens)


def test_it_is_the_function_itself(model, probe):
    patterns = attention_patterns(model, probe.tokens)
    torch.testing.assert_close(induction_of(probe).rows(model).mean(-1), prefix_matching(patterns, probe))
    torch.testing.assert_close(previous_of(probe.tokens).rows(model).mean(-1), previous_token(patterns))


def test_the_function_names_the_head_that_it_describes(model, probe):
    found = score_heads(model, induction_of(probe))
    assert [head.role for head in found.heads] == ["", "", "my induction", ""]
    assert found.best().p == pytest.approx(1 / 200)
    found = score_heads(model, previous_of(probe.tokens), draws=99)
    assert [head.role for head in found.heads] == ["previous", "", "", ""]
    assert found.best().p == pytest.approx(1 / 100)


def test_the_tokens_reach_the_function(model, probe):
    """A duplicate-token score of the user: mass on earlier positions with the same token."""

    def same(patterns, tokens):
        equal = (tokens[:, :, None] == tokens[:, None, :]) & torch.ones(tokens.shape[1], tokens.shape[1]).tril(
            -1
        ).bool()
        return (patterns * equal[None, :, None]).sum(-1).mean(-1).mean(1)

    rows = PatternScore(name="same", score=same, tokens=probe.tokens).rows(model)
    wanted = sum(1 / (t + 1) for t in range(21, 41)) / 41  # uniform attention, one earlier occurrence
    assert rows.mean(-1)[1, 1].item() == pytest.approx(wanted)


def test_uniform_attention_is_its_own_null(probe):
    model = induction_transformer(50, CONTEXT, sharpness=0.0)
    null = induction_of(probe).null(model, draws=10, seed=0)
    assert null.tolist() == pytest.approx([uniform_baseline(probe.query)] * 10)


def test_the_shuffle_stays_in_the_past_and_keeps_all():
    order = _causal_shuffle(9, torch.Generator().manual_seed(0))
    for t in range(9):
        assert sorted(order[t, : t + 1].tolist()) == list(range(t + 1))
    patterns = attention_patterns(tiny("gpt2"), inputs("gpt2", length=9)["input_ids"])
    shuffled = patterns.gather(-1, order.expand(patterns.shape))
    torch.testing.assert_close(shuffled.sort(-1).values, patterns.sort(-1).values)
    assert shuffled.triu(1).abs().max() == 0


def test_a_score_that_does_not_look_at_places_is_never_significant(model, probe):
    sharp = PatternScore(name="sharp", score=lambda p, _: p.max(-1).values.mean(-1).mean(1), tokens=probe.tokens)
    assert score_heads(model, sharp, draws=39).best() is None


def test_heads_at_random_are_rarely_called():
    sizes = {"vocab_size": 50, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 4}
    architecture = Architecture(model_type="gpt2", config=sizes)
    small = repeat_probe(range(1, 50), period=10, rows=4, seed=0, bos=0)
    called = [
        score_heads(architecture.initialise(seed), induction_of(small), draws=39, seed=seed).best() is not None
        for seed in range(20)
    ]
    assert sum(called) <= 4


def test_functions_that_do_not_fit(model, probe):
    worst = PatternScore(
        name="worst", score=lambda p, _: previous_of(probe.tokens).score(p, _) * len(_), tokens=probe.tokens
    )
    with pytest.raises(ConfigError, match="average over rows"):
        worst.rows(model)
    flat = PatternScore(name="flat", score=lambda p, _: previous_token(p)[:1], tokens=probe.tokens)
    with pytest.raises(ConfigError, match="one number a head"):
        flat.rows(model)


def test_a_function_of_the_model_needs_fresh_models(model):
    sizes = {"vocab_size": 50, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 2}
    fresh = [Architecture(model_type="gpt2", config=sizes).initialise(seed) for seed in range(30)]
    tokens = torch.arange(1, 31).repeat(4, 1)

    def looks_back(model):
        return attention_patterns(model, tokens)[..., range(1, 30), range(29)].mean(-1).transpose(1, 2)

    mechanism = ModelScore(name="looks back", score=looks_back)
    with pytest.raises(ConfigError, match="initial_maxima"):
        score_heads(model, mechanism)
    found = score_heads(model, mechanism, initial_maxima=initial_maxima(mechanism, fresh))
    assert [head.role for head in found.heads] == ["looks back", "", "", ""]
    assert found.best().p == pytest.approx(1 / 31)
    assert found.best().score.estimate == pytest.approx(1.0)
