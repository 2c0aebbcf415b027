"""Metasmoothness: whether a run responds to its data smoothly enough for its derivative to predict anything."""

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.attribution.unrolled.parameters import Layout
from imprint.attribution.unrolled.training import Training
from imprint.errors import ConfigError
from imprint.runs import derive


def metasmoothness(
    training: Training, *, stage: int = 0, share: float = 0.05, step: float = 0.5, seed: int = 0
) -> float:
    """Agreement in sign of two successive changes of the parameters, weighted by their size: 1 smooth, about 0 chaotic.

    A random `share` of the stage's examples is weighted 1, 1 - step and 1 - 2 step (at `step` 0.5 they are gone). With a
    and b the two changes and d = a + b it is sum_j |d_j| sign(a_j b_j) / sum_j |d_j|. Cost: three training runs.
    Source: Engstrom et al. 2025 (metasmoothness), METHODS §3.2. Trust: one direction of the data; a run whose value is well
    below 1 has metagradients that are exact and useless: lower the learning rate, or raise `eps_root`, the batch, the warm-up.

    Raises:
        ConfigError: share or step is not in (0, 1], or the share holds no example.
    """
    rows = training.stages[stage].rows
    if not (0 < share <= 1 and 0 < step <= 1 and round(share * rows)):
        raise ConfigError(f"metasmoothness moves a share of examples by a step, both in (0, 1], not {share} by {step}")
    generator = torch.Generator().manual_seed(derive(seed, "metasmoothness"))
    moved = torch.zeros(rows)
    moved[torch.randperm(rows, generator=generator)[: round(share * rows)]] = 1.0
    start = training.start_of(stage)
    layout = Layout.of(start)

    def trained(factor: float) -> Float[Tensor, "n"]:
        weights: list[Tensor | None] = [None] * len(training.stages)
        weights[stage] = 1 - factor * step * moved
        return layout.pack(training.run_from(stage, start, weights)).double()

    ends = [trained(factor) for factor in (0.0, 1.0, 2.0)]
    first, second = ends[1] - ends[0], ends[2] - ends[1]
    size = (first + second).abs()
    return float((size * (first.sign() * second.sign())).sum() / size.sum().clamp(min=1e-300))
