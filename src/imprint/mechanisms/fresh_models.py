"""Freshly initialised models: what the largest score over heads is before anything was learnt."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from imprint.errors import ModelError
from imprint.mechanisms.head_table import HeadMechanism
from imprint.runs import derive
from imprint.types import Advance, no_progress

LEAST_INITIAL_MODELS = 19
"""With fewer of them no score can reach p = .05 against their maxima."""


def fresh_models(model: PreTrainedModel, count: int, *, seed: int = 0) -> Iterator[PreTrainedModel]:
    """Models of the same config, type and device with weights drawn from seeds, one after the other, in evaluation mode.

    The global random generator is left as it was.

    Raises:
        ModelError: the config builds no causal model.

    Trust: weights are drawn as transformers draws them for the config, which need not be how this model was initialised.
    """
    for number in range(count):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, f"fresh model {number}"))
            try:
                fresh: PreTrainedModel = AutoModelForCausalLM.from_config(copy.deepcopy(model.config))  # type: ignore[no-untyped-call]
            except (ValueError, TypeError) as error:
                reason = " ".join(str(error).split())
                raise ModelError(f"no fresh model can be built from the model's config: {reason}") from error
        fresh.to(device=model.device, dtype=model.dtype)  # type: ignore[call-arg]
        fresh.train(False)
        yield fresh


def largest_scores(
    measures: Mapping[str, Callable[[PreTrainedModel], float]],
    models: Iterable[PreTrainedModel],
    *,
    advance: Advance = no_progress,
) -> dict[str, Float[Tensor, "draw"]]:
    """What every measure gives on each of some models, of which only one is held at a time. `advance` counts models."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for model in models:
        for name, measure in measures.items():
            found[name].append(measure(model))
        advance(1)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def largest_score(mechanism: HeadMechanism) -> Callable[[PreTrainedModel], float]:
    """The largest mean score of any head under the mechanism, as a measure of a model."""
    return lambda model: float(mechanism.rows(model).mean(-1).max())
