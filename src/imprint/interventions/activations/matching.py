"""Random subspaces that hold a given share of the variance of reference states."""

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.interventions.activations.subspace import Subspace

_STEPS = 400
_BISECTIONS = 60


def explained_share(states: Float[Tensor, "token width"], subspace: Subspace) -> float:
    """The share of the states' variance about their mean that lies inside a subspace: rank / width by chance."""
    centred = states.double() - states.double().mean(0)
    inside = centred @ subspace.orthonormal().to(centred)
    return float(inside.square().sum() / centred.square().sum().clamp_min(1e-300))


def overlap(first: Subspace, second: Subspace) -> float:
    """The mean squared cosine between two subspaces: 1 if one holds the other, rank / width by chance."""
    cosines = first.orthonormal().T @ second.orthonormal()
    return float(cosines.square().sum() / min(first.rank, second.rank))


def matched_directions(
    states: Float[Tensor, "token width"], rank: int, share: float, *, seed: int
) -> Float[Tensor, "width rank"]:
    """An orthonormal basis, random but for holding `share` of the variance (as near as any subspace of that rank can).

    The span of C^t A with A Gaussian and C the covariance: t = 0 is uniformly random, t > 0 tilts it smoothly towards
    the principal directions and t < 0 away from them, so that the share grows with t and bisection finds it.
    """
    centred = states.double() - states.double().mean(0)
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
    weights = variances.clamp_min(float(variances.max()) * 1e-9)
    generator = torch.Generator().manual_seed(seed)
    columns = _orthonormal(torch.randn(len(weights), rank, dtype=torch.float64, generator=generator))
    basis: Tensor = axes @ _tilted(columns, weights, share)
    return basis


def _tilted(columns: Tensor, weights: Tensor, share: float) -> Tensor:
    towards = 1.0 if _held(columns, weights) < share else -1.0
    # Small steps with a QR between them: one large power would leave nothing of all but the first direction.
    step = towards * 2.0 / max(1.0, float((weights.max() / weights.min()).log()))
    for _ in range(_STEPS):
        further = _stepped(columns, weights, step)
        if (_held(further, weights) - share) * towards >= 0:
            return _bisected(columns, weights, step, share)
        columns = further
    return columns


def _bisected(columns: Tensor, weights: Tensor, step: float, share: float) -> Tensor:
    low, high = 0.0, 1.0
    rising = step > 0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = _held(_stepped(columns, weights, step * middle), weights) < share
        low, high = (middle, high) if reached == rising else (low, middle)
    return _stepped(columns, weights, step * (low + high) / 2)


def _stepped(columns: Tensor, weights: Tensor, power: float) -> Tensor:
    return _orthonormal((weights / weights.max()).pow(power)[:, None] * columns)


def _orthonormal(columns: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis


def _held(columns: Tensor, weights: Tensor) -> float:
    return float((weights[:, None] * columns.square()).sum() / weights.sum())
