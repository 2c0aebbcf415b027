import math

import pytest
import torch
from tuning_runs import FAMILIES, rows_of, supervised, tiny

from imprint.attribution.unrolled import NextToken
from imprint.models.finetuning import Supervised, answer_losses

EVERY_ROW = torch.arange(6)


def gradient(model, loss):
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_is_the_masked_cross_entropy_by_hand(name):
    model, rows = tiny(name), rows_of()
    tokens, lengths, prompts = rows
    expected = []
    for row in range(6):
        logits = model(tokens[row : row + 1]).logits[0].detach()
        answer = range(int(prompts[row]), int(lengths[row]))
        expected.append(-sum(math.log(logits[place].softmax(-1)[tokens[row, place + 1]]) for place in answer))
    torch.testing.assert_close(
        supervised(rows).losses(model, EVERY_ROW), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6
    )
    assert supervised(rows).sizes.tolist() == (lengths - prompts).tolist()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_is_that_of_the_differentiable_run(name):
    model, rows = tiny(name), rows_of()
    tokens, lengths, prompts = rows
    theirs = NextToken(tokens=tokens, lengths=lengths, prompts=prompts)
    picked = torch.tensor([4, 1, 1])
    ours, other = supervised(rows).losses(model, picked), theirs.losses(model, picked, torch.zeros(3, 0))
    torch.testing.assert_close(ours, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(model, ours.sum()), gradient(model, other.sum()), rtol=1e-9, atol=1e-11)
    assert supervised(rows).sizes.tolist() == theirs.sizes.tolist()


def test_prompt_labels_contribute_exactly_nothing():
    model, rows = tiny(), rows_of(count=1, seed=3)
    tokens, lengths, prompts = rows
    seen = []

    def keep(module, args, output):
        output.retain_grad()
        seen.append(output)

    with model.lm_head.register_forward_hook(keep):
        answer_losses(model, tokens, supervised(rows).label_mask).sum().backward()
    [logits] = seen
    assert (logits.grad[0, : int(prompts[0])] == 0).all()
    assert (logits.grad[0, int(lengths[0]) :] == 0).all()
    assert (logits.grad[0, int(prompts[0]) : int(lengths[0])].abs().sum(1) > 0.01).all()
    empty = Supervised(tokens=tokens, label_mask=torch.zeros_like(supervised(rows).label_mask))
    found = empty.losses(model, torch.tensor([0]))
    assert found.tolist() == [0.0]
    assert (gradient(model, found.sum()) == 0).all()


def test_what_stands_in_the_padding_changes_nothing():
    model, rows = tiny(), rows_of()
    tokens, lengths, prompts = rows
    filled = torch.where(torch.arange(tokens.shape[1])[None, :] > lengths[:, None], 7, tokens)
    assert not torch.equal(filled, tokens)
    ours = supervised(rows).losses(model, EVERY_ROW)
    assert torch.equal(ours, supervised((filled, lengths, prompts)).losses(model, EVERY_ROW))


def test_the_prompt_is_read_though_not_learnt():
    model, (tokens, lengths, prompts) = tiny(), rows_of()
    other = tokens.clone()
    other[:, 1] = other[:, 1] % 19 + 1
    before, after = (supervised((one, lengths, prompts)).losses(model, EVERY_ROW) for one in (tokens, other))
    assert (before != after).all()
