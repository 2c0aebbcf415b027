"""Inputs of chosen modules and gradients at their outputs, from one pass that starts at the lowest of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.errors import SelfCheckFailed
from imprint.models.hooks import eager_attention, evaluating
from imprint.models.loss import label_mask, token_losses
from imprint.models.unembedding import head_gradient, plain_head, sampled_labels

_PLAIN_ATTENTION_MOST = 1024
"""Longest sequence whose attention pattern is formed: its memory grows with the square."""


@dataclass(kw_only=True, slots=True)
class Capture:
    """What one forward pass leaves behind: each captured module's input and its output, still on the graph."""

    inputs: dict[str, Shaped[Tensor, "row seq *feature"]] = field(default_factory=dict)
    """Of an embedding, the token ids."""
    outputs: dict[str, Float[Tensor, "row seq feature"]] = field(default_factory=dict)

    def output_gradients(
        self, value: Float[Tensor, "*any"], towards: Float[Tensor, "*any"] | None = None
    ) -> dict[str, Float[Tensor, "row seq feature"]]:
        """The gradient of a scalar (or of `value * towards`, summed) at every captured output, zero where there is none.

        No gradient of any parameter is formed, and nothing below the lowest captured module is visited.
        """
        names = list(self.outputs)
        outputs = [self.outputs[name] for name in names]
        grads = torch.autograd.grad(value, outputs, towards, materialize_grads=True)
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
            return output if leaf is output else leaf.clone()  # a block may add to it in place

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

    inputs: dict[str, Shaped[Tensor, "row seq *_in"]]
    """Of an embedding, the token ids."""
    deltas: dict[str, Float[Tensor, "row seq _out"]]

    @property
    def nbytes(self) -> int:
        """Memory that the pieces hold; an input that several modules share counts once."""
        distinct = {tensor.data_ptr(): tensor.nbytes for tensor in (*self.inputs.values(), *self.deltas.values())}
        return sum(distinct.values())


def loss_gradients(
    model: PreTrainedModel,
    modules: Mapping[str, nn.Module],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    *,
    draws: Float[Tensor, "row seq"] | None = None,
) -> tuple[OutputGradients, Float[Tensor, "row seq"]]:
    """Gradients of each row's *summed* next-token loss at the modules' outputs, and the losses of its tokens, in nats.

    Padding contributes nothing to either, and dropout is off. Logits are formed for real tokens only and a chunk at a time,
    where the model ends in a plain linear map (`plain_head`).

    With `draws`, uniform in [0, 1), the labels are drawn from the model itself (true Fisher); otherwise they are the
    data's.
    """
    tokens, lengths = tokens.to(model.device), lengths.to(model.device)
    head = plain_head(model)
    if head is None or head in modules.values():
        return _through_logits(model, modules, tokens, lengths, draws)
    real = label_mask(lengths, tokens.shape[1] - 1).bool()
    with evaluating(model), _quick_attention(model, tokens.shape[1]), captured(modules) as capture:
        states = model.base_model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
        inside = states.detach()[real]
        found = head_gradient(
            head, inside, tokens[:, 1:][real], draws=None if draws is None else draws.to(real.device)[real]
        )
        at_states = torch.zeros_like(states)
        at_states[real] = found.gradient
        deltas = capture.output_gradients(states, at_states)
    losses = torch.zeros(real.shape, dtype=found.losses.dtype, device=real.device)
    losses[real] = found.losses
    return OutputGradients(inputs=capture.inputs, deltas=deltas), losses


def _quick_attention(model: PreTrainedModel, seq: int) -> AbstractContextManager[None]:
    """Plain attention where the fused one is slow: torch's CPU kernel goes backward in bfloat16 at half the speed."""
    alibi = model.config.model_type == "falcon" and model.config.alibi
    narrow = model.dtype in (torch.bfloat16, torch.float16)
    if model.device.type == "cpu" and narrow and seq <= _PLAIN_ATTENTION_MOST and not alibi:
        return eager_attention(model)
    return nullcontext()


def _through_logits(
    model: PreTrainedModel,
    modules: Mapping[str, nn.Module],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    draws: Float[Tensor, "row seq"] | None,
) -> tuple[OutputGradients, Float[Tensor, "row seq"]]:
    with evaluating(model), _quick_attention(model, tokens.shape[1]), captured(modules) as capture:
        logits = model(tokens[:, :-1], use_cache=False).logits
        labels = tokens[:, 1:]
        if draws is not None:
            labels = sampled_labels(logits.detach().flatten(0, 1).softmax(-1), draws.flatten()).view_as(labels)
        losses = token_losses(logits, labels) * label_mask(lengths, labels.shape[1])
        deltas = capture.output_gradients(losses.sum())
    return OutputGradients(inputs=capture.inputs, deltas=deltas), losses.detach()
