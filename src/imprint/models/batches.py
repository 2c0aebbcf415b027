"""The arguments of a forward pass, wherever they were made, on the device of the model that reads them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel


def on_model(model: PreTrainedModel, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments, with every tensor on the model's device; what lies there already is not copied."""
    return {name: part.to(model.device) if isinstance(part, Tensor) else part for name, part in batch.items()}
