"""The models that an ensemble method averages over: the final one, checkpoints of its run, or retrained halves."""

from collections.abc import Iterator
from typing import Literal

from transformers import PreTrainedModel

from imprint.attribution.methods.checkpoints import checkpoint_models
from imprint.attribution.methods.interface import Problem, recorded
from imprint.attribution.methods.retraining import random_subsets, retrainer
from imprint.errors import ConfigError

Ensemble = Literal["final", "checkpoints", "subsets"]


def ensemble_models(problem: Problem, method: str, kind: Ensemble, members: int) -> Iterator[PreTrainedModel]:
    """The members one after the other, so that only one is held at a time.

    Raises:
        ConfigError: fewer than one member, more than one of "final", or no recorded run where one is needed.
    """
    if members < 1 or (kind == "final" and members > 1):
        raise ConfigError(
            f"{method}: {members} members of '{kind}'; there is one final model, so take checkpoints or subsets"
        )
    if kind == "final":
        yield problem.model
    elif kind == "checkpoints":
        yield from (model for _, model in checkpoint_models(problem, method, members))
    else:
        retrain = retrainer(problem, method)
        for mask in random_subsets(members, len(problem.tokens), 0.5, problem.seed):
            yield recorded(problem, method).holding(retrain(mask))
