"""Self-checks of an attribution run: cheap, stored with the scores, and raising when they fail."""

import copy
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor, nn
from transformers import PreTrainedModel

from imprint.attribution.engine.ekfac import BlockFactors, EkfacOptions, eigenvalue_halves, precondition, split_half
from imprint.attribution.engine.queries import Query, query_gradient
from imprint.attribution.engine.scoring import score_pass
from imprint.attribution.engine.subspace import Subspace, weight_matrix
from imprint.errors import SelfCheckFailed
from imprint.models import label_mask, loss_gradients, token_losses

_STEPS = (1e-4, 1e-5, 1e-3, 1e-2)
_ENOUGH = 1e-3
"""Relative error at which no other step length is tried."""
_STEP_TOKENS = 256
_SPLIT_TOKENS, _SPLIT_QUERIES = 4096, 8
Matrices = Sequence[Float[Tensor, "_out _in"]]
Stacks = Sequence[Float[Tensor, "query _out _in"]]


def run_checks(
    model: PreTrainedModel,
    subspace: Subspace,
    queries: Sequence[Query],
    gradients: Stacks,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
    factors: Sequence[BlockFactors] | None = None,
    fast: PreTrainedModel | None = None,
    dtype: torch.dtype = torch.float64,
) -> dict[str, float]:
    """All checks by name, as relative errors (0 is perfect), `split_half` as the lowest Spearman over at most 8 queries.

    `gradients` are those of the queries that the scores will use, in the model's own precision, stacked a block at a
    time. `fast` is the model in the precision of the passes, `dtype` the precision that is checked in.

    Raises:
        SelfCheckFailed: a gradient disagrees with autograd or finite differences, a training step does not move a query
            as its scores say, or the model's precision is too low for a query's gradient.
    """
    tokens, lengths = tokens.to(model.device), lengths.to(model.device)
    double = copy.deepcopy(model)
    nn.Module.to(double, dtype).requires_grad_(True)
    twin = subspace.on(double)
    exact = [query_gradient(double, twin, query) for query in queries]
    same = {"gradient_vs_autograd": _row_gradient_error(double, twin, tokens[:2], lengths[:2])}
    few = slice(0, max(2, min(32, _STEP_TOKENS // tokens.shape[1])))
    moved = {"training_step": _training_step_error(double, twin, queries[0], exact[0], tokens[few], lengths[few])}
    used = {}
    for number, (query, gradient) in enumerate(zip(queries, exact, strict=True)):
        mine = [stack[number].to(dtype) for stack in gradients]
        reference = _through_parameters(double, twin, query.measure(double))
        same[f"query_vs_autograd/{query.name}"] = _worst_block(gradient, reference)
        moved[f"finite_difference/{query.name}"] = _difference_error(double, twin, query, gradient, seed=seed)
        used[f"precision/{query.name}"] = _relative_distance(mine, gradient)
    for results, limit in ((same, 1e-3), (moved, 1e-2), (used, 1e-1)):
        _require(results, limit=limit)
    fast = model if fast is None else fast
    split = _split_half(fast, subspace.on(fast), gradients, tokens, lengths, options, factors, seed=seed)
    return {**same, **moved, **used, "split_half": split}


def to_check(queries: Sequence[Query]) -> list[Query]:
    """The queries whose gradients are checked: all, but of the log-likelihoods of rows, which share their code, two."""
    alike = [query for query in queries if query.likelihood_of is not None]
    return [query for query in queries if query.likelihood_of is None or query in alike[:2]]


def _row_gradient_error(
    model: PreTrainedModel, subspace: Subspace, tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]
) -> float:
    """Per-row block gradients against autograd through the parameters, on the rows given."""
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    ours = subspace.gradients(captured)
    losses = token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
    sums = (losses * label_mask(lengths, losses.shape[1])).sum(1)
    return max(
        _worst_block([piece[row] for piece in ours], _through_parameters(model, subspace, total))
        for row, total in enumerate(sums)
    )


def _through_parameters(
    model: PreTrainedModel, subspace: Subspace, scalar: Float[Tensor, ""]
) -> list[Float[Tensor, "_out _in"]]:
    """Autograd's gradient of a scalar of the model at the modules' weights, cut into the blocks."""
    modules = subspace.modules
    parameters = [modules[name].get_parameter("weight") for name in modules]
    biased = [name for name in modules if getattr(modules[name], "bias", None) is not None]
    parameters += [modules[name].get_parameter("bias") for name in biased]
    grads = torch.autograd.grad(scalar, parameters, retain_graph=True, materialize_grads=True)
    weights = {name: weight_matrix(modules[name], grad) for name, grad in zip(modules, grads, strict=False)}
    biases = dict(zip(biased, grads[len(modules) :], strict=True))
    blocks = []
    for block in subspace.blocks:
        matrix = torch.cat([_rows(weights[name], kept) for name, kept in block.outputs])
        matrix = matrix if block.input_features is None else matrix[:, block.input_features]
        if block.bias:
            column = torch.cat([_rows(biases[name], kept) for name, kept in block.outputs])
            matrix = torch.cat([matrix, column[:, None]], dim=1)
        blocks.append(matrix if block.directions is None else block.directions.to(matrix).T @ matrix)
    return blocks


def _rows(matrix: Tensor, kept: Tensor | None) -> Tensor:
    return matrix if kept is None else matrix[kept]


def _worst_block(ours: Matrices, theirs: Matrices) -> float:
    """The largest relative error of a block; what is a millionth of the whole gradient counts as rounding."""
    rounding = max(1e-6 * _norm(theirs), 1e-30)
    return max(
        float((mine - best).norm() / best.norm().clamp(min=rounding)) for mine, best in zip(ours, theirs, strict=True)
    )


def _relative_distance(ours: Matrices, theirs: Matrices) -> float:
    return _norm([mine - best for mine, best in zip(ours, theirs, strict=True)]) / _norm(theirs)


def _difference_error(
    model: PreTrainedModel, subspace: Subspace, query: Query, gradient: Matrices, *, seed: int
) -> float:
    """The query's gradient against central finite differences, along itself plus as much of a random direction.

    Along itself alone, a gradient that lacks a block or a path through the model would pass.
    """
    generator = torch.Generator(device=gradient[0].device).manual_seed(seed)
    norm = _norm(gradient)
    noise = [
        torch.randn(piece.shape, generator=generator, dtype=piece.dtype, device=piece.device) for piece in gradient
    ]
    direction = [g / norm + r / r.norm() for g, r in zip(gradient, noise, strict=True)]
    predicted = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
    return _slope_error(model, subspace, query, direction, predicted) / norm


def _slope_error(
    model: PreTrainedModel, subspace: Subspace, query: Query, direction: Matrices, predicted: float
) -> float:
    """How far the query's growth along a direction is from the prediction, at the best of four step lengths.

    A short step drowns in rounding where a model computes parts in float32 whatever its weights are (Llama's norms), a
    long one in curvature; only a right prediction is met at any.
    """
    best, enough = math.inf, _ENOUGH * abs(predicted)
    for step in _STEPS:
        best = min(best, abs(_slope(model, subspace, query, direction, step) - predicted))
        if best <= enough:
            break
    return best


def _slope(model: PreTrainedModel, subspace: Subspace, query: Query, direction: Matrices, step: float) -> float:
    values = []
    for sign in (1.0, -1.0):
        with subspace.shifted(direction, sign * step), torch.no_grad():
            values.append(float(query.measure(model)))
    return (values[0] - values[1]) / (2 * step)


def _training_step_error(
    model: PreTrainedModel,
    subspace: Subspace,
    query: Query,
    gradient: Matrices,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
) -> float:
    """A tiny step down the loss of the row with the largest plain score must move the query by that score."""
    along = [piece[None] for piece in gradient]
    passed = score_pass(model, subspace, along, tokens, lengths, by_token=True, norms=False)
    plain = torch.cat(passed.scores, dim=1)[0].sum(-1)
    row = int(plain.abs().argmax())
    captured, _ = loss_gradients(model, subspace.modules, tokens[row : row + 1], lengths[row : row + 1])
    loss_gradient = [piece[0] for piece in subspace.gradients(captured)]
    size = max(_norm(loss_gradient), 1e-30)
    down = [-piece / size for piece in loss_gradient]
    predicted = float(plain[row]) / size
    error = _slope_error(model, subspace, query, down, predicted)
    return error / max(abs(predicted), 1e-2 * _norm(gradient))


def _norm(matrices: Matrices) -> float:
    return math.sqrt(sum(float(piece.square().sum()) for piece in matrices))


def _split_half(
    model: PreTrainedModel,
    subspace: Subspace,
    gradients: Stacks,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    factors: Sequence[BlockFactors] | None,
    *,
    seed: int,
) -> float:
    """Lowest Spearman over queries between scores with factors from the two halves of the fitting rows."""
    few = torch.linspace(
        0, len(tokens) - 1, min(len(tokens), max(8, min(256, _SPLIT_TOKENS // tokens.shape[1])))
    ).long()
    gradients = [stack[:_SPLIT_QUERIES] for stack in gradients]
    halves = None
    if options.stability == "eigenvalues" and factors is not None:
        halves = eigenvalue_halves(factors)
    if halves is None:
        one, other = split_half(model, subspace, tokens, lengths, options, seed=seed)
        halves = one, other
    directions = [torch.cat(pair) for pair in zip(*(precondition(half, gradients) for half in halves), strict=True)]
    passed = score_pass(model, subspace, directions, tokens[few], lengths[few], by_token=False, norms=False, batch=4)
    scores = torch.cat(passed.rows, dim=2).sum(1)
    count = len(scores) // 2
    return min(_agreement(scores[query], scores[count + query]) for query in range(count))


def _agreement(one: Float[Tensor, "row"], other: Float[Tensor, "row"]) -> float:
    if _is_flat(one) or _is_flat(other):
        raise SelfCheckFailed(
            f"all {len(one)} rows looked at have the same influence, so there is nothing to rank; score rows that differ"
        )
    return float(spearmanr(one, other).statistic)


def _is_flat(scores: Float[Tensor, "row"]) -> bool:
    """Whether the scores differ by no more than rounding."""
    return float(scores.max() - scores.min()) <= 1e3 * torch.finfo(scores.dtype).eps * float(scores.abs().max())


def _require(results: dict[str, float], *, limit: float) -> None:
    for name, error in results.items():
        if not error <= limit:
            raise SelfCheckFailed(
                f"attribution self-check '{name}' has relative error {error:.2e} (limit {limit:g}); the scores would be"
                " wrong, so none were written: look for hooks on the model, a query that is not smooth, or too low a precision"
            )
