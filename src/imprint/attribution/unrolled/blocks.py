"""The blocks of an engine subspace as linear functions of the parameters, and back."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.attribution.engine.subspace import Block, Subspace, weight_matrix
from imprint.attribution.unrolled.parameters import Layout, Params


def matrices_of(subspace: Subspace, params: Params) -> list[Float[Tensor, "_out _in"]]:
    """One matrix per block, cut out of parameters (or of anything of their shapes: a gradient, a second moment)."""
    return [_matrix(subspace, block, params) for block in subspace.blocks]


def vector_of(subspace: Subspace, layout: Layout, matrices: Sequence[Float[Tensor, "_out _in"]]) -> Float[Tensor, "n"]:
    """The parameter vector that has these blocks and is 0 elsewhere: the transpose of `matrices_of`."""
    zeros = matrices[0].new_zeros(sum(shape.numel() for shape in layout.shapes.values())).requires_grad_(True)
    blocks = matrices_of(subspace, layout.unpack(zeros))
    return torch.autograd.grad(blocks, zeros, list(matrices))[0]


def _matrix(subspace: Subspace, block: Block, params: Params) -> Float[Tensor, "out in"]:
    parts = []
    for name, kept in block.outputs:
        matrix = weight_matrix(subspace.modules[name], params[f"{name}.weight"])
        if block.input_features is not None:
            matrix = matrix[:, block.input_features]
        if block.bias:
            matrix = torch.cat([matrix, params[f"{name}.bias"][:, None]], dim=1)
        parts.append(matrix if kept is None else matrix[kept])
    whole = torch.cat(parts)
    return whole if block.directions is None else block.directions.to(whole).T @ whole
