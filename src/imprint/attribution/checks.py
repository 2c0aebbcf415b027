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
from imprint.attribution.subspace import Subspace, weight_matrix
from imprint.errors import SelfCheckFailed
from imprint.models import label_mask, loss_gradients, token_losses

Matrices = Sequence[Float[Tensor, "out in"]]


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

    Raises:
        SelfCheckFailed: a gradient disagrees with autograd or finite differences, or a training step moves a query the
            wrong way.
    """
    double = copy.deepcopy(model).double()
    twin = subspace.on(double)
    results = {"gradient_vs_autograd": _autograd_error(double, twin, tokens[:2], lengths[:2])}
    for query in queries:
        results[f"finite_difference/{query.name}"] = _difference_error(double, twin, query)
    results["training_step"] = _training_step_error(double, twin, queries[0], tokens[:32], lengths[:32])
    _require(results, limit=1e-3)
    results["split_half"] = _split_half(model, subspace, gradients, tokens, lengths, options, seed=seed)
    return results


def _autograd_error(
    model: PreTrainedModel, subspace: Subspace, tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]
) -> float:
    """Per-row block gradients against autograd through the parameters, on two rows."""
    captured, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    ours = subspace.gradients(captured)
    worst = 0.0
    for row in range(len(tokens)):
        exact = _through_parameters(model, subspace, tokens[row : row + 1], lengths[row : row + 1])
        for block, piece in zip(subspace.blocks, ours, strict=True):
            theirs = torch.cat([_rows(exact[name], kept) for name, kept in block.outputs])
            theirs = theirs if block.input_features is None else theirs[:, block.input_features]
            worst = max(worst, float((piece[row] - theirs).norm() / theirs.norm().clamp(min=1e-30)))
    return worst


def _through_parameters(
    model: PreTrainedModel, subspace: Subspace, tokens: Int[Tensor, "row seq_plus_1"], lengths: Int[Tensor, "row"]
) -> dict[str, Tensor]:
    """Autograd's gradient of the summed loss at each module's weight, oriented [out, in]."""
    weights = [module.get_parameter("weight").requires_grad_(True) for module in subspace.modules.values()]
    losses = token_losses(model(tokens[:, :-1], use_cache=False).logits, tokens[:, 1:])
    exact = torch.autograd.grad((losses * label_mask(lengths, losses.shape[1])).sum(), weights)
    return {
        name: weight_matrix(module, grad) for (name, module), grad in zip(subspace.modules.items(), exact, strict=True)
    }


def _rows(matrix: Tensor, kept: Tensor | None) -> Tensor:
    return matrix if kept is None else matrix[kept]


def _difference_error(model: PreTrainedModel, subspace: Subspace, query: Query) -> float:
    """The query's gradient against central finite differences along itself."""
    gradient = query_gradient(model, subspace, query)
    norm = _norm(gradient)
    unit = [piece / norm for piece in gradient]
    step = 1e-5
    values = []
    for sign in (1.0, -1.0):
        with subspace.shifted(unit, sign * step), torch.no_grad():
            values.append(float(query.measure(model)))
    return abs((values[0] - values[1]) / (2 * step) - norm) / norm


def _training_step_error(
    model: PreTrainedModel,
    subspace: Subspace,
    query: Query,
    tokens: Int[Tensor, "row seq_plus_1"],
    lengths: Int[Tensor, "row"],
) -> float:
    """One tiny gradient step on a batch must move the query by - grad L . grad f: the sign and size of plain influence."""
    gradients, _ = loss_gradients(model, subspace.modules, tokens, lengths)
    loss_gradient = [piece.sum(0) for piece in subspace.gradients(gradients)]
    query_direction = query_gradient(model, subspace, query)
    predicted = -sum(float((g * v).sum()) for g, v in zip(loss_gradient, query_direction, strict=True))
    scale = 1e-6 / max(_norm(loss_gradient), 1e-30)
    values = []
    for sign in (-1.0, 1.0):
        with subspace.shifted(loss_gradient, sign * scale), torch.no_grad():
            values.append(float(query.measure(model)))
    moved = (values[0] - values[1]) / (2 * scale)
    size = _norm(loss_gradient) * _norm(query_direction)
    return abs(moved - predicted) / max(abs(predicted), 1e-3 * size)


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
    correlations = [float(spearmanr(one, other).statistic) for one, other in zip(*halves, strict=True)]
    return min(correlations)


def _inner(rows: Sequence[Float[Tensor, "row out in"]], direction: Matrices) -> Float[Tensor, "row"]:
    return -torch.stack([torch.einsum("boi,oi->b", g, v) for g, v in zip(rows, direction, strict=True)]).sum(0)


def _require(results: dict[str, float], *, limit: float) -> None:
    for name, error in results.items():
        if not error <= limit:
            raise SelfCheckFailed(
                f"attribution self-check '{name}' has relative error {error:.2e} (limit {limit:.0e}); the scores would be"
                " wrong, so none were written"
            )
