"""Next-token cross-entropy with one weight per row, fused forward and backward."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class _FusedCrossEntropy(torch.autograd.Function):
    """Per-token negative log-likelihood whose gradient (softmax - onehot) is formed in one buffer."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, logits: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(logits, labels)
        return -logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        logits, labels = ctx.saved_tensors  # type: ignore[attr-defined]
        grad = logits.softmax(-1)
        grad.scatter_add_(-1, labels[:, None], grad.new_full(labels[:, None].shape, -1.0))
        return grad.mul_(grad_outputs[0][:, None]), None


def log_probs_of(logits: Float[Tensor, "*batch vocabulary"], labels: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The log-probability of each label in nats, differentiable twice if need be."""
    chosen: Tensor = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return chosen


def token_losses(
    logits: Float[Tensor, "row seq vocabulary"], labels: Int[Tensor, "row seq"]
) -> Float[Tensor, "row seq"]:
    """The negative log-likelihood of each label in nats; `labels` are already shifted by one."""
    rows, length, vocabulary = logits.shape
    flat: Tensor = _FusedCrossEntropy.apply(logits.reshape(-1, vocabulary), labels.reshape(-1))  # type: ignore[no-untyped-call]
    return flat.view(rows, length)


def label_mask(lengths: Int[Tensor, "row"], seq: int) -> Float[Tensor, "row seq"]:
    """One where position t predicts a real token (t < number of tokens after the BOS), zero on padding."""
    positions = torch.arange(seq, device=lengths.device)
    return (positions[None, :] < lengths[:, None]).float()


def weighted_mean_loss(
    losses: Float[Tensor, "row seq"], mask: Float[Tensor, "row seq"], weights: Float[Tensor, "row"]
) -> Float[Tensor, ""]:
    """The batch's training loss: masked rows drop out of the numerator only.

    The denominator counts all real tokens of the batch, masked or not, so deleting a document removes exactly its own
    gradient and leaves that of every other document unchanged (the protocol of Mechanistic Data Attribution).
    """
    return (losses * mask * weights[:, None]).sum() / mask.sum()
