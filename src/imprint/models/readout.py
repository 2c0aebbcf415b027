"""Logits only where they are read: the unembedding is often half of a small model's work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from imprint.errors import ConfigError, ModelError
from imprint.models.components import Anatomy


@contextmanager
def reading(model: PreTrainedModel, rows: Int[Tensor, "n"], positions: Int[Tensor, "n"]) -> Iterator[None]:
    """Inside the block `model(...).logits` has shape (1, n, vocabulary): those of the (row, position) pairs, in order.

    All blocks run as ever; final norm excepted, what comes after them (BERT's transform, T5's scaling, the
    unembedding) sees the chosen states only. Do not pass `labels`. `ConfigError` for a pair outside the batch or for no
    pair, `ModelError` if the model is asked for tuples (`return_dict=False`).
    """
    anatomy = Anatomy(model)
    if rows.shape != positions.shape or len(rows) == 0:
        raise ConfigError(f"{len(rows)} rows and {len(positions)} positions were asked to be read; give n of each.")

    def select(_: nn.Module, __: Any, output: Any) -> Any:
        if not isinstance(output, ModelOutput):
            raise ModelError(
                "Chosen logits need a model that returns a ModelOutput; call it without return_dict=False."
            )
        states: Tensor = output["last_hidden_state"]
        _check_inside(states, rows, positions)
        output["last_hidden_state"] = states[rows, positions][None]
        return output

    handle = anatomy.tower(anatomy.stacks[-1]).register_forward_hook(select)
    try:
        yield
    finally:
        handle.remove()


def _check_inside(states: Tensor, rows: Tensor, positions: Tensor) -> None:
    batch, length = states.shape[:2]
    if int(rows.min()) < 0 or int(rows.max()) >= batch or int(positions.min()) < 0 or int(positions.max()) >= length:
        raise ConfigError(
            f"Logits were asked up to row {int(rows.max())}, position {int(positions.max())}, but the batch has "
            f"{batch} rows of {length} positions."
        )
