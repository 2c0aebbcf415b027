"""Retraining the recorded run with other weights of its rows."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from imprint.attribution.methods.interface import Problem, recorded
from imprint.attribution.unrolled import Params
from imprint.runs import derive

Retrain = Callable[[Float64[np.ndarray, "row"]], Params]
"""The final parameters when each row's loss has this weight."""


def retrainer(problem: Problem, method: str) -> Retrain:
    """Runs the rows' stage and all later ones again, from where the stage started; other weights stay at 1.

    Raises:
        ConfigError: the run was not recorded, or its stage has other rows.
    """
    training, stage = recorded(problem, method), problem.stage
    start = training.start_of(stage)

    def retrain(weights: Float64[np.ndarray, "row"]) -> Params:
        every: list[Tensor | None] = [None] * len(training.stages)
        every[stage] = torch.from_numpy(weights)
        return training.run_from(stage, start, every)

    return retrain


def random_subsets(runs: int, rows: int, fraction: float, seed: int) -> Float64[np.ndarray, "run row"]:
    """Masks of 0 and 1: each row is in each subset with probability `fraction`, independently."""
    generator = np.random.default_rng(derive(seed, "subsets"))
    return (generator.random((runs, rows)) < fraction).astype(np.float64)
