import pytest
import torch
from unrolled_runs import pair, rows_of, tiny_gpt2

from imprint.attribution.unrolled import NextToken, Preference, measured, parameters_of
from imprint.errors import ConfigError
from imprint.models import label_mask, token_losses, weighted_mean_loss

EMPTY = torch.zeros(3, 0)
ROWS = torch.tensor([4, 0, 4])


@pytest.fixture(scope="module")
def model():
    return tiny_gpt2().eval()


def test_the_weighted_batch_loss_is_that_of_the_trainer(model):
    tokens, lengths = rows_of()
    objective, weights = NextToken(tokens=tokens, lengths=lengths), torch.tensor([1.0, 0.0, 2.0]).double()
    ours = (weights * objective.losses(model, ROWS, EMPTY)).sum() / objective.sizes[ROWS].sum()
    losses = token_losses(model(tokens[ROWS, :-1]).logits, tokens[ROWS, 1:])
    mask = label_mask(lengths[ROWS], losses.shape[1])
    torch.testing.assert_close(ours, weighted_mean_loss(losses, mask, weights))


def test_a_prompt_carries_no_loss(model):
    tokens, lengths = rows_of()
    whole = NextToken(tokens=tokens, lengths=lengths)
    answers = NextToken(tokens=tokens, lengths=lengths, prompts=torch.full_like(lengths, 2))
    first = NextToken(tokens=tokens, lengths=torch.full_like(lengths, 2))
    rows = torch.arange(3)
    together = answers.losses(model, rows, EMPTY) + first.losses(model, rows, EMPTY)
    torch.testing.assert_close(together, whole.losses(model, rows, EMPTY))
    assert torch.equal(answers.sizes, whole.sizes - 2)


def test_padding_has_no_effect_even_where_it_is_not_finite_to_learn(model):
    tokens, lengths = rows_of()
    padded = tokens.clone()
    padded[:, 1:][torch.arange(tokens.shape[1] - 1)[None, :] >= lengths[:, None]] = 5
    rows = torch.arange(3)
    torch.testing.assert_close(
        NextToken(tokens=padded, lengths=lengths).losses(model, rows, EMPTY),
        NextToken(tokens=tokens, lengths=lengths).losses(model, rows, EMPTY),
    )


def test_a_preference_is_the_formula_of_dpo(model):
    chosen, rejected = NextToken(**pair(rows_of())), NextToken(**pair(rows_of(seed=2)))
    objective, reference = Preference(chosen=chosen, rejected=rejected, beta=0.3), tiny_gpt2(seed=5).eval()
    ours = objective.losses(model, ROWS, objective.anchor(reference, ROWS))

    def log_ratio(answers):
        return reference_loss(answers) - answers.losses(model, ROWS, EMPTY)

    def reference_loss(answers):
        return answers.losses(reference, ROWS, EMPTY)

    expected = -torch.sigmoid(0.3 * (log_ratio(chosen) - log_ratio(rejected))).log()
    torch.testing.assert_close(ours, expected)
    start = objective.losses(model, ROWS, objective.anchor(model, ROWS))
    torch.testing.assert_close(start, torch.full_like(start, 2.0).log())


def test_preferences_come_in_pairs():
    chosen, rejected = NextToken(**pair(rows_of())), NextToken(**pair(rows_of(count=5)))
    with pytest.raises(ConfigError, match="8 and 5"):
        Preference(chosen=chosen, rejected=rejected)


def test_a_measurement_is_differentiable_twice_whatever_attention_the_model_uses():
    rows, model = torch.arange(2), tiny_gpt2()
    objective = NextToken(**pair(rows_of()))
    assert model.config._attn_implementation == "sdpa"
    params = parameters_of(model)
    leaf = params["transformer.h.0.attn.c_attn.weight"].requires_grad_(True)
    value = measured(model, params, lambda held: objective.losses(held, rows, torch.zeros(2, 0)).sum())
    (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), leaf)
    assert second.any()
    assert second.isfinite().all()
