"""Parameters as values: a model run with any of them, without touching the model, and packed into one vector."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from imprint.errors import SelfCheckFailed
from imprint.models import eager_attention, evaluating

Params = dict[str, Tensor]
"""Trainable parameters by their name in the model; tied weights appear once."""


def parameters_of(model: PreTrainedModel) -> Params:
    """Copies of the parameters that the model trains (`requires_grad`)."""
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def measured(model: PreTrainedModel, params: Params, measure: Callable[[PreTrainedModel], Tensor]) -> Tensor:
    """`measure(model)` as it would be if the model held `params`: differentiable in them, twice if `measure` is.

    The fused attentions are differentiable only once, so a plain one is used; dropout is off.
    """
    held = {f"model.{name}": value for name, value in params.items()}
    with torch.enable_grad(), _plain_attention(model), evaluating(model):
        result: Tensor = torch.func.functional_call(_Held(model), held, (measure,))
    return result


@contextmanager
def _plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """The fastest attention that can be differentiated twice, without loss of precision.

    Most families' eager attention is a quarter faster than the unfused kernel, but takes its softmax in float32.
    """
    if model.dtype == torch.float64:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    else:
        with eager_attention(model):
            yield


def holding(model: PreTrainedModel, params: Params) -> PreTrainedModel:
    """A copy of the model that holds `params`, in evaluation mode."""
    clone = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in clone.named_parameters():
            if name in params:
                parameter.copy_(params[name])
    module: nn.Module = clone
    module.eval()
    return clone


class _Held(nn.Module):
    """A module whose forward pass is an arbitrary measurement of another one."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, measure: Callable[[PreTrainedModel], Tensor]) -> Tensor:
        return measure(self.model)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where each parameter lies in one long vector."""

    shapes: dict[str, torch.Size]

    @staticmethod
    def of(params: Params) -> "Layout":
        """The layout that packs `params` in their own order."""
        return Layout(shapes={name: value.shape for name, value in params.items()})

    def pack(self, params: Params) -> Float[Tensor, "n"]:
        """One vector, differentiable in the parameters."""
        return torch.cat([params[name].reshape(-1) for name in self.shapes])

    def unpack(self, vector: Float[Tensor, "n"]) -> Params:
        """Views into the vector, by name."""
        pieces = torch.split_with_sizes(vector, [shape.numel() for shape in self.shapes.values()])
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}


def parameter_gradient(
    model: PreTrainedModel, params: Params, name: str, measure: Callable[[PreTrainedModel], Tensor]
) -> Float[Tensor, "n"]:
    """The gradient of the query called `name` in all parameters, packed in their order.

    Raises:
        SelfCheckFailed: it is zero or not finite.
    """
    leaves = {key: value.detach().requires_grad_(True) for key, value in params.items()}
    value = measured(model, leaves, measure)
    if not value.requires_grad:
        raise SelfCheckFailed(f"query '{name}' does not depend on the model's parameters; choose one that does")
    found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    packed = Layout.of(params).pack(dict(zip(leaves, found, strict=True)))
    if not bool(packed.isfinite().all()):
        raise SelfCheckFailed(f"the gradient of query '{name}' is not finite; look for a diverged run")
    if not bool(packed.any()):
        raise SelfCheckFailed(f"the gradient of query '{name}' is zero in every parameter; all scores would be 0")
    return packed
