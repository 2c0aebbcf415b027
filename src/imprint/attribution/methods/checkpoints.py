"""Models at checkpoints of the recorded run, with the learning rates that were in force there."""

from collections.abc import Iterator

import numpy as np
from transformers import PreTrainedModel

from imprint.attribution.methods.interface import Problem, recorded
from imprint.errors import ConfigError


def checkpoint_models(problem: Problem, method: str, count: int) -> Iterator[tuple[float, PreTrainedModel]]:
    """`count` (learning rate, model) pairs, evenly spaced over the rows' stage and ending with its last update.

    The rate is that of the update which the checkpoint ends with. Fewer pairs where the stage has fewer updates.

    Raises:
        ConfigError: the run was not recorded, or no checkpoint is asked for.
    """
    training = recorded(problem, method)
    if count < 1:
        raise ConfigError(f"{method} needs at least one checkpoint, not {count}")
    last = training.stages[problem.stage].steps
    steps = np.unique(np.ceil(np.linspace(0, last, count + 1)[1:]).astype(int)).tolist()
    for checkpoint in training.checkpoints(steps, stage=problem.stage):
        yield checkpoint.learning_rate, training.holding(checkpoint.params)
