"""Can a linear reader tell the condition of a checkpoint, and of one that it has not seen?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from imprint.errors import CorpusError
from imprint.mechanisms.probes import Probe, probe

_ONE_EACH = (
    "one checkpoint a condition: the accuracy says that the checkpoints differ, which any two training runs do, "
    "not that their conditions do"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionProbe:
    """Accuracy of the condition, held out by what was drawn independently."""

    probe: Probe
    """Its `accuracy` is over the units that were held out; the control is the majority class."""
    held_out: Literal["checkpoint", "prompt"]
    note: str
    """What the accuracy does not show; empty where whole checkpoints were held out."""


def condition_probe(
    states: Float[np.ndarray, "checkpoint prompt d"],
    conditions: Int[np.ndarray, "checkpoint"],
    *,
    folds: int = 5,
    penalty: float = 1.0,
    seed: int = 0,
) -> ConditionProbe:
    """A logistic probe for the condition on the states of all checkpoints on the same prompts.

    Whole checkpoints are held out where every condition has at least 2; otherwise prompts are, and `note` says what
    that cannot show.

    Raises:
        CorpusError: one condition, or fewer prompts than folds.

    Trust: a checkpoint's pipeline seed makes its states as recognisable as its data does: held out by prompt, noise
    alone scores near 1.
    """
    count, prompts, d = states.shape
    _, place, sizes = np.unique(conditions, return_inverse=True, return_counts=True)
    if len(conditions) != count or len(sizes) < 2:
        raise CorpusError(f"{count} checkpoints of {len(sizes)} condition(s): give at least 2 conditions.")
    by_checkpoint = bool(sizes.min() >= 2)
    number, prompt = np.divmod(np.arange(count * prompts), prompts)
    found = probe(
        states.reshape(count * prompts, d).astype(np.float64),
        place.reshape(-1)[number],
        number if by_checkpoint else prompt,
        folds=min(folds, int(sizes.min())) if by_checkpoint else folds,
        penalty=penalty,
        seed=seed,
    )
    return ConditionProbe(
        probe=found,
        held_out="checkpoint" if by_checkpoint else "prompt",
        note="" if by_checkpoint else _ONE_EACH,
    )
