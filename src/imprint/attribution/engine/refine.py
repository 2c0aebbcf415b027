"""Directions refined from EK-FAC towards the exact block Gauss-Newton inverse, by conjugate gradients on the rows."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from imprint.attribution.engine.contractions import is_table, outer
from imprint.attribution.engine.ekfac import BlockFactors
from imprint.attribution.engine.subspace import Block, Subspace
from imprint.errors import ConfigError, SelfCheckFailed
from imprint.models import Capture, OutputGradients, captured, label_mask
from imprint.types import Advance, no_progress


def refine(
    model: PreTrainedModel,
    subspace: Subspace,
    factors: Sequence[BlockFactors],
    gradients: Sequence[Float[Tensor, "query _out _in"]],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    *,
    iterations: int = 10,
    batch: int = 64,
    advance: Advance = no_progress,
) -> list[Float[Tensor, "query _out _in"]]:
    """Solutions of (G_b + damping) v = q for every block b and query, begun and preconditioned with EK-FAC.

    G_b = mean over rows of the block's own Gauss-Newton matrix, sum_t J_t^T (diag p - p p^T) J_t, exactly; the damping is
    the relative and absolute one of the factors, whose floor plays no part. Blocks stay independent. Cost: about five
    forwards over `tokens` an iteration, query and block, so it is for small subspaces or few queries. `advance` counts
    iterations times blocks.
    Source: conjugate gradients with a Kronecker preconditioner (ASTRA has the same aim with stochastic steps).
    Trust: exact in the limit for the Gauss-Newton matrix of these rows; that retraining agrees better is not implied.

    Raises:
        ConfigError: a block is an embedding.
        SelfCheckFailed: a solution is not finite.
    """
    solved = []
    for number, block in enumerate(subspace.blocks):
        product = _Product(model, subspace, block, tokens, lengths, batch)
        damping = float(factors[number].damping_relative * factors[number].eigenvalues.mean())
        damping += factors[number].damping_absolute
        solutions = [
            _solve(product, factors[number], query.to(factors[number].output_basis), damping, iterations)
            for query in gradients[number]
        ]
        solved.append(torch.stack(solutions))
        if not bool(solved[-1].isfinite().all()):
            raise SelfCheckFailed(f"refinement of block {block.name} did not stay finite; raise the damping")
        advance(iterations)
    return solved


def _solve(
    product: "_Product", factors: BlockFactors, target: Float[Tensor, "out in"], damping: float, iterations: int
) -> Float[Tensor, "out in"]:
    """Preconditioned conjugate gradients from the EK-FAC solution."""
    solution = factors.precondition(target)
    residual = target - product(solution) - damping * solution
    direction = conditioned = factors.precondition(residual)
    weight = (residual * conditioned).sum()
    for _ in range(iterations):
        if float(residual.norm()) <= 1e-8 * float(target.norm()):
            break
        moved = product(direction) + damping * direction
        step = weight / (direction * moved).sum()
        solution = solution + step * direction
        residual = residual - step * moved
        conditioned = factors.precondition(residual)
        weight, before = (residual * conditioned).sum(), weight
        direction = conditioned + weight / before * direction
    return solution


class _Product:
    """The mean Gauss-Newton matrix of one block times a matrix, through the outputs of the block's modules."""

    def __init__(
        self,
        model: PreTrainedModel,
        subspace: Subspace,
        block: Block,
        tokens: Int[Tensor, "row seq_plus_1"],
        lengths: Int[Tensor, "row"],
        batch: int,
    ) -> None:
        self.model, self.block, self.batch = model, block, batch
        self.tokens, self.lengths = tokens.to(model.device), lengths.to(model.device)
        self.modules = {name: subspace.modules[name] for name, _ in block.outputs}
        self.columns = subspace.block_shape(block)[1]

    def __call__(self, vector: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        total = torch.zeros_like(vector)
        for start in range(0, len(self.tokens), self.batch):
            rows = slice(start, start + self.batch)
            total += self._of(vector, self.tokens[rows], self.lengths[rows])
        return total / len(self.tokens)

    def _of(
        self, vector: Float[Tensor, "out in"], tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]
    ) -> Float[Tensor, "out in"]:
        with sdpa_kernel([SDPBackend.MATH]):
            with captured(self.modules) as capture:
                logits = self.model(tokens[:, :-1], use_cache=False).logits
            with torch.enable_grad():
                tangent = self._tangent(capture, vector)
                dummy = torch.zeros_like(logits, requires_grad=True)
                outputs = [capture.outputs[name] for name in self.modules]
                pulled = torch.autograd.grad(logits, outputs, dummy, create_graph=True)
                pulls = [(p * tangent[name]).sum() for name, p in zip(self.modules, pulled, strict=True)]
                inner = torch.stack(pulls).sum()
                (pushed,) = torch.autograd.grad(inner, dummy, retain_graph=True)
            real = label_mask(lengths, logits.shape[1])[..., None].to(logits)
            p = logits.detach().softmax(-1)
            curved = p * (pushed - (p * pushed).sum(-1, keepdim=True)) * real
            deltas = capture.output_gradients(logits, curved)
        pieces = OutputGradients(inputs=capture.inputs, deltas=deltas)
        inputs = self.block.inputs(pieces).flatten(0, 1)[None]
        return outer(inputs, self.block.deltas(pieces).flatten(0, 1)[None], self.columns)[0]

    def _tangent(
        self, capture: Capture, vector: Float[Tensor, "out in"]
    ) -> dict[str, Float[Tensor, "row seq feature"]]:
        """How the modules' outputs move when the block's matrix moves along `vector`."""
        still = OutputGradients(inputs=capture.inputs, deltas={})
        inputs = self.block.inputs(still)
        if is_table(inputs):
            raise ConfigError(f"block {self.block.name} is an embedding, which cannot be refined; leave it out")
        moved = inputs @ vector.T.to(inputs)
        if self.block.directions is not None:
            moved = moved @ self.block.directions.T.to(moved)
        tangent: dict[str, Tensor] = {}
        start = 0
        for name, kept in self.block.outputs:
            whole = tangent.setdefault(name, torch.zeros_like(capture.outputs[name]))
            size = whole.shape[-1] if kept is None else len(kept)
            piece = moved[..., start : start + size]
            if kept is None:
                whole += piece.detach()
            else:
                whole[..., kept] += piece.detach()
            start += size
        return tangent
