"""Tail patch: does one more gradient step on the highest-scored rows raise the query?"""

import copy

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.queries import Query
from imprint.errors import ConfigError
from imprint.models import evaluating, label_mask, token_losses


def tail_patch(
    model: PreTrainedModel,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    query: Query,
    *,
    learning_rate: float,
) -> float:
    """The change of the query, in its own units, by one step of plain gradient descent on the rows' mean token loss.

    The model is not touched. Positive: the rows raise the query, as their scores should have said.
    Source: Chang et al. 2024 (tail-patch score). Trust: a first-order test at the end of training, so close to gradient
    dot by construction; it does not see what the rows did earlier.

    Raises:
        ConfigError: no row, or a step that is not positive.
    """
    if not len(tokens) or learning_rate <= 0:
        raise ConfigError(
            f"{len(tokens)} rows and a step of {learning_rate}: give at least one row and a positive step"
        )
    patched = copy.deepcopy(model)
    tokens, lengths = tokens.to(model.device), lengths.to(model.device)
    with evaluating(patched):
        before = _value(query, patched)
        losses = token_losses(patched(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
        mask = label_mask(lengths, losses.shape[1]).to(losses.dtype)
        parameters = [one for one in patched.parameters() if one.requires_grad]
        gradients = torch.autograd.grad((losses * mask).sum() / mask.sum(), parameters, materialize_grads=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(learning_rate * gradient)
        return _value(query, patched) - before


def tail_patches(
    model: PreTrainedModel,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    queries: tuple[Query, ...],
    scores: Float[np.ndarray, "query row"],
    *,
    top: int,
    learning_rate: float,
) -> Float64[np.ndarray, "query"]:
    """`tail_patch` of every query with its own `top` highest-scored rows."""
    chosen = torch.from_numpy(np.argsort(-scores, axis=1, kind="stable")[:, :top].copy())
    changes = [
        tail_patch(model, tokens[rows], lengths[rows], query, learning_rate=learning_rate)
        for rows, query in zip(chosen, queries, strict=True)
    ]
    return np.array(changes, dtype=np.float64)


@torch.no_grad()
def _value(query: Query, model: PreTrainedModel) -> float:
    return float(query.measure(model))
