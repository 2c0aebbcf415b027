"""Inputs of chosen modules and gradients at their outputs, from one pass that starts at the lowest of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import SelfCheckFailed
from imprint.models.loss import label_mask, token_losses


@dataclass(kw_only=True, slots=True)
class Capture:
    """What one forward pass leaves behind: each captured module's input and its output, still on the graph."""

    inputs: dict[str, Float[Tensor, "row seq feature"]] = field(default_factory=dict)
    outputs: dict[str, Float[Tensor, "row seq feature"]] = field(default_factory=dict)

    def output_gradients(self, scalar: Float[Tensor, ""]) -> dict[str, Float[Tensor, "row seq feature"]]:
        """The gradient of `scalar` at every captured output (zero where it does not depend on one).

        No gradient of any parameter is formed, and nothing below the lowest captured module is visited.
        """
        names = list(self.outputs)
        grads = torch.autograd.grad(scalar, [self.outputs[name] for name in names], materialize_grads=True)
        return dict(zip(names, grads, strict=True))


@contextmanager
def captured(modules: Mapping[str, nn.Module]) -> Iterator[Capture]:
    """Record the modules' inputs and outputs while the block runs one forward pass.

    The graph begins at the output of the first module that fires: layers below it are computed without one. Parameters and
    their `requires_grad` are not touched; the hooks go when the block ends, also by an exception.
    """
    capture = Capture()

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def record(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if name in capture.outputs:
                raise SelfCheckFailed(
                    f"module '{name}' ran twice in one forward pass; its gradient would be incomplete"
                )
            torch.set_grad_enabled(True)
            leaf = output if output.requires_grad else output.detach().requires_grad_(True)
            capture.inputs[name] = args[0].detach()
            capture.outputs[name] = leaf
            return leaf

        return record

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        with torch.no_grad():
            yield capture
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputGradients:
    """Per-position pieces of a gradient: dW of module m for row n is the sum over t of outer(delta, input)."""

    inputs: dict[str, Float[Tensor, "row seq _in"]]
    deltas: dict[str, Float[Tensor, "row seq _out"]]


def loss_gradients(
    model: PreTrainedModel,
    modules: Mapping[str, nn.Module],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    *,
    sample_labels: torch.Generator | None = None,
) -> tuple[OutputGradients, Float[Tensor, "row seq"]]:
    """Gradients of each row's *summed* next-token loss at the modules' outputs, and the losses of its tokens, in nats.

    Padding contributes nothing to either.

    With `sample_labels` the labels are drawn from the model itself (true Fisher); otherwise they are the data's.
    """
    with captured(modules) as capture:
        logits = model(tokens[:, :-1], use_cache=False).logits
        labels = tokens[:, 1:] if sample_labels is None else _sampled(logits, sample_labels)
        losses = token_losses(logits, labels) * label_mask(lengths, labels.shape[1])
        deltas = capture.output_gradients(losses.sum())
    return OutputGradients(inputs=capture.inputs, deltas=deltas), losses.detach()


def _sampled(logits: Float[Tensor, "row seq vocabulary"], generator: torch.Generator) -> Int[Tensor, "row seq"]:
    """One label a position by inverse CDF, drawn from the model's own distribution."""
    cumulative = logits.detach().softmax(-1).cumsum(-1)
    draws = torch.rand(cumulative.shape[:-1], generator=generator, dtype=cumulative.dtype)[..., None]
    return torch.searchsorted(cumulative, draws * cumulative[..., -1:]).squeeze(-1).clamp_(max=logits.shape[-1] - 1)
