import pytest
import torch
from transformers import GPT2LMHeadModel

from imprint.models.handmade import induction_transformer
from imprint.models.hooks import ablate_heads, attention_patterns, head_means

VOCABULARY, CONTEXT = 50, 64


def repeats(n, bos, rows=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    half = torch.stack([torch.randperm(VOCABULARY - 1, generator=generator)[:n] + 1 for _ in range(rows)])
    return torch.cat([torch.zeros(rows, 1, dtype=torch.long), half, half] if bos else [half, half], 1)


def prefix_matching(pattern, n, bos):
    query = torch.arange(n, 2 * n - 1) + bos
    return pattern[:, query, query - n + 1].mean().item()


def copy_accuracy(model, tokens, n):
    query = torch.arange(n, 2 * n - 1) + 1
    with torch.no_grad():
        predicted = model(tokens).logits.argmax(-1)
    return (predicted[:, query] == tokens[:, query + 1]).double().mean().item()


@pytest.fixture(scope="module")
def model():
    return induction_transformer()


def test_it_is_a_plain_model(model):
    assert type(model) is GPT2LMHeadModel
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    assert (model.config.vocab_size, model.config.n_positions, model.config.bos_token_id) == (50, 64, 0)
    assert not model.training
    assert induction_transformer(bos=False).config.bos_token_id is None


def test_prefix_matching_with_bos_is_one(model):
    pattern = attention_patterns(model, repeats(31, bos=True))[1, :, 0]
    assert prefix_matching(pattern, 31, 1) == pytest.approx(1.0, abs=1e-6)


def test_prefix_matching_without_bos_loses_half_a_match(model):
    pattern = attention_patterns(model, repeats(32, bos=False))[1, :, 0]
    assert prefix_matching(pattern, 32, 0) == pytest.approx(1 - 0.5 / 31, abs=1e-6)
    assert prefix_matching(pattern, 32, 0) == pytest.approx(0.98387, abs=1e-5)


def test_previous_token_score_is_one_and_only_there(model):
    patterns = attention_patterns(model, repeats(31, bos=True))
    scores = patterns.diagonal(-1, dim1=-2, dim2=-1).mean((1, 3))
    assert scores[0, 0].item() == pytest.approx(1.0, abs=1e-6)
    assert scores.flatten()[1:].max() < 0.1


def test_spare_heads_attend_uniformly_and_write_nothing(model):
    tokens = repeats(32, bos=False)
    patterns = attention_patterns(model, tokens)
    assert prefix_matching(patterns[1, :, 1], 32, 0) == pytest.approx(0.0216, abs=5e-5)
    assert prefix_matching(patterns[0, :, 1], 32, 0) == pytest.approx(
        sum(1 / (position + 1) for position in range(32, 63)) / 31, abs=1e-9
    )
    with ablate_heads(model, ["L0.H1", "L1.H1"]) as ablation:
        ablated = model(tokens).logits
    assert ablation.changed == 0
    assert torch.equal(ablated, model(tokens).logits)


def test_it_copies_with_certainty(model):
    tokens = repeats(31, bos=True)
    query = torch.arange(32, 62)
    log_probs = model(tokens).logits.log_softmax(-1)[:, query].gather(-1, tokens[:, query + 1, None])
    assert log_probs.min() >= -0.05
    shifted = model(tokens).logits.log_softmax(-1)[:, query - 1].gather(-1, tokens[:, query + 1, None])
    assert shifted.mean() < -10  # the off-by-one probe


@pytest.mark.parametrize("head", ["L0.H0", "L1.H0"])
def test_either_head_is_necessary(model, head):
    tokens = repeats(31, bos=True)
    assert copy_accuracy(model, tokens, 31) == 1.0
    with ablate_heads(model, [head]):
        assert copy_accuracy(model, tokens, 31) <= 0.1
    with ablate_heads(model, [head], mode="mean", mean=head_means(model, [head], [{"input_ids": tokens}])):
        assert copy_accuracy(model, tokens, 31) <= 0.1


def test_the_induction_pattern_needs_the_previous_token_head(model):
    tokens = repeats(31, bos=True)
    with ablate_heads(model, ["L0.H0"]):
        broken = attention_patterns(model, tokens)[1, :, 0]
    assert prefix_matching(broken, 31, 1) < 0.05


@pytest.mark.parametrize(("vocabulary", "context"), [(8, 40), (64, 64), (5, 6), (256, 33)])
def test_any_size_is_exact(vocabulary, context):
    model = induction_transformer(vocabulary, context)
    n = min(vocabulary - 1, (context - 1) // 2)
    half = torch.randperm(vocabulary - 1, generator=torch.Generator().manual_seed(0))[:n] + 1
    tokens = torch.cat([torch.zeros(1, dtype=torch.long), half, half])[None]
    assert prefix_matching(attention_patterns(model, tokens)[1, :, 0], n, 1) == pytest.approx(1.0, abs=1e-6)


def test_a_softer_model_has_gradients():
    tokens = repeats(10, bos=True)
    for sharpness, alive in ((200.0, False), (4.0, True)):
        model = induction_transformer(sharpness=sharpness)
        model(tokens).logits.log_softmax(-1)[..., 1].sum().backward()
        gradient = model.transformer.h[0].attn.c_attn.weight.grad[:, : model.config.n_embd // 2].abs().max()
        assert (gradient > 1e-3) == alive
