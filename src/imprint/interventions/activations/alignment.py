"""`Alignment`: the rotation that carries the states of one model into those of another, fitted on paired tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Alignment:
    """target = (source - source_mean) rotation + target_mean, the rotation orthogonal (semi-orthogonal between widths).

    `explained` is the share of the target's variance that the map accounts for on the pairs it was fitted on.
    Trust: below an `explained` of about .5 a swap across models replaces a state by something else; fit on other
    documents than those you edit.
    """

    rotation: Float[Tensor, "source_width target_width"]
    source_mean: Float[Tensor, "source_width"]
    target_mean: Float[Tensor, "target_width"]
    explained: float

    def map(self, states: Float[Tensor, "*batch source_width"]) -> Float[Tensor, "*batch target_width"]:
        """States of the source model as states of the target model."""
        return (states - self.source_mean.to(states)) @ self.rotation.to(states) + self.target_mean.to(states)


def procrustes(
    source: Float[Tensor, "token source_width"], target: Float[Tensor, "token_too target_width"]
) -> Alignment:
    """The orthogonal map with the least squared error between states of the same tokens in two models.

    Source: Schoenemann 1966 (U V^T of the SVD of source^T target, both centred). Computed in float64.
    `ConfigError` if the tokens are not paired or there are fewer than two.
    """
    if len(source) != len(target) or len(source) < 2:
        raise ConfigError(
            f"{len(source)} source and {len(target)} target states were given; give the same two or more tokens."
        )
    source_mean, target_mean = source.double().mean(0), target.double().mean(0)
    centred, wanted = source.double() - source_mean, target.double() - target_mean
    left, _, right = torch.linalg.svd(centred.T @ wanted, full_matrices=False)
    rotation = left @ right
    left_over = (centred @ rotation - wanted).square().sum() / wanted.square().sum().clamp_min(1e-300)
    return Alignment(
        rotation=rotation.to(source.dtype),
        source_mean=source_mean.to(source.dtype),
        target_mean=target_mean.to(target.dtype),
        explained=1 - float(left_over),
    )
