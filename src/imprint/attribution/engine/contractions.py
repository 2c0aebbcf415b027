"""Sums over positions of outer products of output gradients and inputs, without the parts that nobody asked for.

Inputs are activations [row, seq, in], or the token ids [row, seq] of an embedding, which stand for one-hot vectors.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

_SHORT = 1 << 14
_MIXED, _MIXED_GPU = 1 << 23, 1 << 26
"""Numbers of an intermediate product held at a time: what stays below 32 MB, a CPU's allocator reuses; a GPU is idle while
it is given small work."""
Inputs = Shaped[Tensor, "row seq *_in"]


def is_table(inputs: Inputs) -> bool:
    """Whether the inputs are the token ids of an embedding."""
    return not inputs.is_floating_point()


def outer(inputs: Inputs, deltas: Float[Tensor, "row seq out"], columns: int) -> Float[Tensor, "row out in"]:
    """Each row's gradient of the matrix: the sum over positions of delta x input. `columns` is the matrix's width."""
    if not is_table(inputs):
        return torch.bmm(deltas.transpose(1, 2), inputs)
    rows, _, out = deltas.shape
    gradient = deltas.new_zeros(rows, columns, out)
    gradient.scatter_add_(1, inputs[..., None].expand(-1, -1, out), deltas)
    return gradient.transpose(1, 2)


def token_products(
    inputs: Inputs, deltas: Float[Tensor, "row seq out"], directions: Float[Tensor, "query out in"]
) -> Float[Tensor, "query row seq"]:
    """delta_t^T V a_t of every position for every direction V: the gradient's part that flows through position t."""
    rows, seq, out = deltas.shape
    queries = len(directions)
    if is_table(inputs):
        picked = directions.permute(0, 2, 1)[:, inputs]  # query row seq out
        return (picked * deltas[None]).sum(-1)
    wide = inputs.shape[-1]
    flat_inputs, flat_deltas = inputs.reshape(-1, wide), deltas.reshape(-1, out)
    if wide <= out:
        left, right, matrix = flat_deltas, flat_inputs, directions.permute(1, 0, 2).reshape(out, -1)
    else:
        left, right, matrix = flat_inputs, flat_deltas, directions.permute(2, 0, 1).reshape(wide, -1)
    size = max(1, (_MIXED if deltas.device.type == "cpu" else _MIXED_GPU) // matrix.shape[1])
    parts = [
        (left[start : start + size] @ matrix).view(-1, queries, right.shape[1]) @ right[start : start + size, :, None]
        for start in range(0, len(left), size)
    ]
    return torch.cat(parts).view(rows, seq, queries).permute(2, 0, 1)


def row_products(
    inputs: Inputs, deltas: Float[Tensor, "row seq out"], directions: Float[Tensor, "query out in"]
) -> Float[Tensor, "query row"]:
    """The inner product of each row's gradient with every direction, by the cheaper of the two orders of summation."""
    if is_table(inputs) or len(directions) == 1:
        return token_products(inputs, deltas, directions).sum(-1, dtype=_wide(deltas.dtype))
    gradient, along = outer(inputs, deltas, directions.shape[2]).flatten(1), directions.flatten(1)
    return along @ gradient.T if deltas.dtype == _wide(deltas.dtype) else _short_products(along, gradient)


def _short_products(
    along: Float[Tensor, "query parameter"], gradient: Float[Tensor, "row parameter"]
) -> Float[Tensor, "query row"]:
    """`along @ gradient.T` in a wider type: products of narrow types round their result, so they are kept short and added up."""
    if along.device.type != "cpu":
        return batched_products(along, gradient)
    total = torch.zeros(len(along), len(gradient), dtype=_wide(along.dtype), device=along.device)
    for start in range(0, along.shape[1], _SHORT):
        chosen = slice(start, start + _SHORT)
        total += along[:, chosen] @ gradient[:, chosen].T
    return total


def batched_products(
    along: Float[Tensor, "query parameter"], gradient: Float[Tensor, "row parameter"]
) -> Float[Tensor, "query row"]:
    """The same short products as one batch, which is how a GPU makes them fast."""
    count = along.shape[1] // _SHORT
    whole = count * _SHORT
    left, right = (part[:, :whole].view(len(part), count, _SHORT).transpose(0, 1) for part in (along, gradient))
    rest = along[:, whole:] @ gradient[:, whole:].T
    total: Tensor = torch.bmm(left, right.transpose(1, 2)).sum(0, dtype=_wide(along.dtype)) + rest
    return total


def squared_norms(inputs: Inputs, deltas: Float[Tensor, "row seq out"]) -> Float[Tensor, "row"]:
    """The squared norm of each row's gradient, through Gram matrices of its positions: no gradient is formed."""
    grams = torch.bmm(deltas, deltas.transpose(1, 2))
    if is_table(inputs):
        grams = grams * (inputs[:, :, None] == inputs[:, None, :])
    else:
        grams = grams * torch.bmm(inputs, inputs.transpose(1, 2))
    return grams.sum((1, 2), dtype=_wide(deltas.dtype))


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
