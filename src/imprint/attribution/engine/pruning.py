"""Blocks without the output directions along which preconditioned queries and gradients expect next to no product."""

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from imprint.attribution.engine.ekfac import BlockFactors
from imprint.attribution.engine.subspace import Block, Subspace

_WORTH = 0.75
"""Share of directions left below which the extra rotation pays."""


def without_idle_outputs(
    subspace: Subspace,
    factors: Sequence[BlockFactors],
    directions: Sequence[Float[Tensor, "query _out _in"]],
    energy: float,
) -> tuple[Subspace, list[Float[Tensor, "query _kept _in"]]]:
    """The subspace and directions in the leading output eigenvectors that together carry `energy` of the expected product.

    The product of a gradient and a query preconditioned alike has variance (eigenvalue / damped eigenvalue)^2 in each
    coordinate. Blocks in which most directions matter stay as they are.
    Trust: exact at energy 1; at .995 token scores keep their ranking (measured in docs/results/attribution_speed.md).
    """
    blocks: list[Block] = []
    kept: list[Tensor] = []
    for block, factor, stack in zip(subspace.blocks, factors, directions, strict=True):
        share = (factor.eigenvalues / factor.damped()).square().sum(1)
        order = share.argsort(descending=True)
        needed = int((share[order].cumsum(0) < energy * share.sum()).sum()) + 1
        if block.directions is not None or needed > _WORTH * len(share):
            blocks.append(block)
            kept.append(stack)
            continue
        basis = factor.output_basis[:, order[:needed]]
        blocks.append(replace(block, directions=basis))
        kept.append(basis.T.to(stack) @ stack)
    return Subspace(name=subspace.name, blocks=tuple(blocks), modules=subspace.modules), kept
