"""What a fine-tuning stage lowers: the loss of each of its examples."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

Tunable = PreTrainedModel | PeftModel
"""A causal model, plain or with adapters; what is trained are its parameters that require a gradient."""


@runtime_checkable
class Objective(Protocol):
    """The loss of a batch is sum_i w_i L_i / sum_i size_i: a row of weight 0 leaves every other row's gradient as it is."""

    @property
    def sizes(self) -> Float[Tensor, "row"]:
        """What each example adds to the denominator, whatever its weight: its learnt labels, or 1."""
        ...

    def losses(self, model: Tunable, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        """The loss of each example named in `rows`, in nats."""
        ...
