"""Self-checks of an attribution run: cheap, stored with the scores, and raising when they fail."""

import copy
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.ekfac import EkfacOptions, precondition, split_half
from imprint.attribution.queries import Query, query_gradient
from imprint.attribution.scoring import score_rows
from imprint.attribution.subspace import Subspace, weight_matrix
from imprint.errors import SelfCheckFailed
from imprint.models import label_mask, loss_gradients, token_losses

_STEPS = (1e-5, 1e-4, 1e-3, 1e-2)
Matrices = Sequence[Float[Tensor, "_out _in"]]


def run_checks(
    model: PreTrainedModel,
    subspace: Subspace,
    queries: Sequence[Query],
    gradients: Sequence[Matrices],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
) -> dict[str, float]:
    """All checks by name, as relative errors (0 is perfect) or, for `split_half`, the lowest Spearman over queries.

    `gradients` are those of the queries that the scores will use, in the model's own precision.

    Raises:
        SelfCheckFailed: a gradient disagrees with autograd or finite differences, a training step does not move a query
            as its scores say, or the model's precision is too low for a query's gradient.
    """
    double = copy.deepcopy(model).double().requires_grad_(True)
    twin = subspace.on(double)
    exact = [query_gradient(double, twin, query) for query in queries]
    same = {"gradient_vs_autograd": _row_gradient_error(double, twin, tokens[:2], lengths[:2])}
    moved = {"training_step": _training_step_error(double, twin, queries[0], exact[0], tokens[:32], lengths[:32])}
    used = {}
    for query, gradient, mine in zip(queries, exact, gradients, strict=True):
        reference = _through_parameters(double, twin, query.measure(double))
        same[f"query_vs_autograd/{query.name}"] = _worst_block(gradient, reference)
        moved[f"finite_difference/{query.name}"] = _difference_error(double, twin, query, gradient, seed=seed)
        used[f"precision/{query.name}"] = _relative_distance(mine, gradient)
    for results, limit in ((same, 1e-3), (moved, 1e-2), (used, 1e-1)):
        _require(results, limit=limit)
    split = _split_half(model, subspace, gradients, tokens, lengths, options, seed=seed)
    return {**same, **moved, **used, "split_half": split}


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
    weights = [module.get_parameter("weight") for module in subspace.modules.values()]
    grads = torch.autograd.grad(scalar, weights, retain_graph=True, materialize_grads=True)
    whole = {
        name: weight_matrix(module, grad) for (name, module), grad in zip(subspace.modules.items(), grads, strict=True)
    }
    blocks = []
    for block in subspace.blocks:
        rows = torch.cat([_rows(whole[name], kept) for name, kept in block.outputs])
        blocks.append(rows if block.input_features is None else rows[:, block.input_features])
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
    generator = torch.Generator().manual_seed(seed)
    norm = _norm(gradient)
    noise = [torch.randn(piece.shape, generator=generator, dtype=piece.dtype) for piece in gradient]
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
    return min(abs(_slope(model, subspace, query, direction, step) - predicted) for step in _STEPS)


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
    plain = torch.cat(score_rows(model, subspace, [gradient], tokens, lengths).scores, dim=1)[0].sum(-1)
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
    gradients: Sequence[Matrices],
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
    options: EkfacOptions,
    *,
    seed: int,
) -> float:
    """Lowest Spearman over queries between scores with factors from the two halves of the fitting rows."""
    sample = slice(0, 256)
    captured, _ = loss_gradients(model, subspace.modules, tokens[sample], lengths[sample])
    rows = subspace.gradients(captured)
    halves = []
    for factors in split_half(model, subspace, tokens, lengths, options, seed=seed):
        directions = [precondition(factors, gradient) for gradient in gradients]
        halves.append([_inner(rows, direction) for direction in directions])
    return min(_agreement(one, other) for one, other in zip(*halves, strict=True))


def _agreement(one: Float[Tensor, "row"], other: Float[Tensor, "row"]) -> float:
    if _is_flat(one) or _is_flat(other):
        raise SelfCheckFailed(
            f"all {len(one)} rows looked at have the same influence, so there is nothing to rank; score rows that differ"
        )
    return float(spearmanr(one, other).statistic)


def _is_flat(scores: Float[Tensor, "row"]) -> bool:
    """Whether the scores differ by no more than rounding."""
    return float(scores.max() - scores.min()) <= 1e3 * torch.finfo(scores.dtype).eps * float(scores.abs().max())


def _inner(rows: Sequence[Float[Tensor, "row _out _in"]], direction: Matrices) -> Float[Tensor, "row"]:
    return -torch.stack([torch.einsum("boi,oi->b", g, v) for g, v in zip(rows, direction, strict=True)]).sum(0)


def _require(results: dict[str, float], *, limit: float) -> None:
    for name, error in results.items():
        if not error <= limit:
            raise SelfCheckFailed(
                f"attribution self-check '{name}' has relative error {error:.2e} (limit {limit:g}); the scores would be"
                " wrong, so none were written"
            )
