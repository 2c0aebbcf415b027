import pytest
import torch
from torch.nn.functional import cross_entropy

from imprint.models.loss import label_mask, log_probs_of, token_losses, weighted_mean_loss

VOCABULARY = 11


def batch(dtype=torch.float64, scale=3.0, rows=4, seq=6):
    generator = torch.Generator().manual_seed(0)
    logits = (scale * torch.randn(rows, seq, VOCABULARY, generator=generator, dtype=torch.float64)).to(dtype)
    return logits.requires_grad_(True), torch.randint(0, VOCABULARY, (rows, seq), generator=generator)


def reference(logits, labels):
    return cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


@pytest.mark.parametrize("scale", [0.0, 3.0, 1e4])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_losses_and_gradients_are_those_of_torch(dtype, tolerance, scale):
    ours, labels = batch(dtype, scale)
    theirs = ours.detach().clone().requires_grad_(True)
    upstream = torch.linspace(-1, 2, labels.numel(), dtype=dtype).view(labels.shape)
    losses, expected = token_losses(ours, labels), reference(theirs, labels)
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)
    losses.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=10 * tolerance)


def test_gradients_are_finite_differences():
    logits, labels = batch()
    assert torch.autograd.gradcheck(lambda x: token_losses(x, labels), (logits,))


def test_an_impossible_token_costs_nothing_elsewhere():
    logits, labels = batch()
    other = (labels + 1) % VOCABULARY
    blocked = logits.detach().scatter(-1, other[..., None], -torch.inf).requires_grad_(True)
    token_losses(blocked, labels).sum().backward()
    assert bool(blocked.grad.isfinite().all())
    assert blocked.grad.gather(-1, other[..., None]).abs().max() == 0


def test_the_logits_are_left_alone():
    logits, labels = batch()
    before = logits.detach().clone()
    token_losses(logits, labels).sum().backward()
    assert torch.equal(logits, before)


def test_the_graph_keeps_no_second_array_of_the_size_of_the_logits():
    """The reason to fuse: log-softmax would keep its own output beside the logits until the backward pass."""

    def kept(loss):
        logits, labels = batch()
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor
        ):
            loss(logits, labels)
        return [
            tensor for tensor in saved if tensor.numel() >= logits.numel() and tensor.data_ptr() != logits.data_ptr()
        ]

    assert kept(token_losses) == []
    assert kept(reference) != []


def test_a_second_derivative_is_refused_and_never_wrong():
    logits, labels = batch()
    (gradient,) = torch.autograd.grad(token_losses(logits, labels).sum(), logits, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(gradient.square().sum(), logits)


def test_a_label_outside_the_vocabulary_is_refused():
    logits, labels = batch()
    labels[0, 0] = VOCABULARY
    with pytest.raises(RuntimeError, match="out of bounds"):
        token_losses(logits, labels)


def test_log_probs_are_minus_the_losses_and_can_be_differentiated_twice():
    logits, labels = batch()
    torch.testing.assert_close(log_probs_of(logits, labels), -token_losses(logits, labels))
    torch.testing.assert_close(log_probs_of(logits[0, 0], labels[0, 0]), -token_losses(logits, labels)[0, 0])
    assert torch.autograd.gradgradcheck(lambda x: log_probs_of(x, labels), (logits,))


def test_the_mask_counts_the_tokens_after_bos():
    mask = label_mask(torch.tensor([0, 2, 3]), 3)
    assert mask.tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_the_training_loss_is_the_mean_over_all_real_tokens():
    losses = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 99.0]])
    mask = label_mask(torch.tensor([3, 2]), 3)
    assert weighted_mean_loss(losses, mask, torch.ones(2)).item() == pytest.approx(31 / 5)
    assert weighted_mean_loss(losses, mask, torch.tensor([1.0, 0.0])).item() == pytest.approx(7 / 5)
    assert weighted_mean_loss(losses, mask, torch.tensor([2.0, 0.5])).item() == pytest.approx((14 + 12) / 5)


def test_a_masked_row_gives_no_gradient_and_changes_no_other():
    logits, labels = batch(torch.float32)
    mask = label_mask(torch.tensor([6, 3, 5, 6]), 6)

    def gradient(weights):
        loss = weighted_mean_loss(token_losses(logits, labels), mask, torch.tensor(weights))
        return torch.autograd.grad(loss, logits)[0]

    whole, masked = gradient([1.0, 1.0, 1.0, 1.0]), gradient([1.0, 0.0, 1.0, 1.0])
    assert masked[1].abs().max() == 0 < whole[1].abs().max()
    assert torch.equal(masked[[0, 2, 3]], whole[[0, 2, 3]])
    assert whole[1, 3:].abs().max() == 0 == whole[2, 5:].abs().max()  # padding
