import math
from dataclasses import replace

import pytest
import torch
from tuning_runs import FAMILIES, rows_of, supervised, tiny

from imprint.attribution.unrolled import NextToken, Preference
from imprint.corpus.chat import ChatRows, PreferenceRows
from imprint.models.finetuning import margins, preference_losses, preferred

PAIRS = torch.arange(6)


def rows(seed):
    tokens, lengths, prompts = rows_of(seed=seed)
    mask = supervised((tokens, lengths, prompts)).label_mask
    return ChatRows(
        tokens=tokens.numpy(), lengths=lengths.numpy(), label_mask=mask.numpy(), ids=tuple("abcdef"),
        truncated=(), without_answer=(),
    )  # fmt: skip


def pairs():
    return PreferenceRows(chosen=rows(1), rejected=rows(2))


def differentiable(beta):
    def side(seed):
        tokens, lengths, prompts = rows_of(seed=seed)
        return NextToken(tokens=tokens, lengths=lengths, prompts=prompts)

    return Preference(chosen=side(1), rejected=side(2), beta=beta)


def gradient(model, loss):
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


def answer_gradient(model, seed, row):
    """The gradient of the log-likelihood of one answer."""
    return -gradient(model, supervised(rows_of(seed=seed)).losses(model, torch.tensor([row])).sum())


@pytest.mark.parametrize("name", FAMILIES)
def test_at_the_reference_the_loss_is_log_two_and_its_gradient_the_closed_form(name):
    model = tiny(name)
    objective = preferred(model, pairs(), beta=0.3, batch=2)
    losses = objective.losses(model, PAIRS)
    torch.testing.assert_close(losses, torch.full((6,), math.log(2), dtype=torch.float64), rtol=1e-12, atol=1e-12)
    # beta sigmoid(0) = 0.3 / 2 of (rejected - chosen)
    closed = 0.15 * (answer_gradient(model, 2, 3) - answer_gradient(model, 1, 3))
    found = gradient(model, objective.losses(model, torch.tensor([3])).sum())
    torch.testing.assert_close(found, closed, rtol=1e-5, atol=1e-6)  # Llama's norms work in float32
    assert objective.sizes.tolist() == [1.0] * 6


def test_descending_raises_the_chosen_and_lowers_the_rejected_answer():
    model = tiny()
    objective = preferred(model, pairs(), beta=0.3, batch=6)
    step = -gradient(model, objective.losses(model, torch.tensor([3])).sum())
    assert step @ (answer_gradient(model, 1, 3) - answer_gradient(model, 2, 3)) > 0.1
    assert step @ answer_gradient(model, 1, 3) > 0
    assert step @ answer_gradient(model, 2, 3) < 0


def test_the_gradient_away_from_the_reference_is_the_finite_difference():
    reference, model = tiny(), tiny(seed=5)
    objective = preferred(reference, pairs(), beta=0.3, batch=6)
    loss = objective.losses(model, PAIRS).sum()
    parameters = list(model.parameters())
    direction = [torch.randn(part.shape, generator=torch.Generator().manual_seed(7)).double() for part in parameters]
    exact = sum(
        (part * move).sum() for part, move in zip(torch.autograd.grad(loss, parameters), direction, strict=True)
    )

    def moved(size):
        with torch.no_grad():
            for part, move in zip(parameters, direction, strict=True):
                part.add_(size * move)
            found = objective.losses(model, PAIRS).sum().item()
            for part, move in zip(parameters, direction, strict=True):
                part.sub_(size * move)
        return found

    numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5
    assert abs(exact.item()) > 0.1
    assert exact.item() == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_is_that_of_the_differentiable_run(name):
    reference, model = tiny(name), tiny(name, seed=5)
    theirs = differentiable(0.3)
    ours = preferred(reference, pairs(), beta=0.3, batch=4).losses(model, PAIRS)
    anchor = theirs.anchor(reference, PAIRS).detach()
    other = theirs.losses(model, PAIRS, anchor)
    torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient(model, ours.sum()), gradient(model, other.sum()), rtol=1e-8, atol=1e-10)


def test_the_reference_is_fixed_and_taken_without_dropout():
    model = tiny()
    model.train()
    objective = preferred(model, pairs(), beta=0.3, batch=4)
    assert model.training
    model.eval()
    found = margins(model, objective.chosen, objective.rejected, PAIRS)
    torch.testing.assert_close(objective.reference, found.detach(), rtol=1e-12, atol=1e-12)
    assert not objective.reference.requires_grad


def test_swapped_answers_swap_the_sign():
    swapped = PreferenceRows(chosen=rows(2), rejected=rows(1))
    reference, model = tiny(), tiny(seed=5)
    one, other = (preferred(reference, each, beta=0.3, batch=6) for each in (pairs(), swapped))
    difference = other.losses(model, PAIRS) - one.losses(model, PAIRS)
    change = margins(model, one.chosen, one.rejected, PAIRS) - one.reference
    torch.testing.assert_close(difference, 0.3 * change, rtol=1e-9, atol=1e-10)  # -log s(-x) + log s(x) = x
    assert change.abs().min() > 0.01


def test_values_by_hand():
    found = preference_losses(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0]), beta=0.5)
    assert found.tolist() == pytest.approx([math.log1p(math.exp(-0.5)), math.log1p(math.exp(1.5))])


def test_rows_that_do_not_pair_are_refused():
    with pytest.raises(Exception, match="do not come in pairs"):
        PreferenceRows(chosen=rows(1), rejected=replace(rows(2), ids=tuple("abcdeg")))
