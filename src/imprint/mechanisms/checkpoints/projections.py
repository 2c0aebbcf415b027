"""Where the states of a checkpoint lie along a direction: projections, cosines, and their shift between checkpoints."""

import numpy as np
from jaxtyping import Float

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints.contrast_vectors import unit
from imprint.stats import Effect, bootstrap_mean, paired_difference

_DRAWS = 2000


def projections(
    states: Float[np.ndarray, "prompt d"],
    direction: Float[np.ndarray, "d"],
    *,
    centre: Float[np.ndarray, "d"] | None = None,
) -> Float[np.ndarray, "prompt"]:
    """(h - centre) . v / |v| of every prompt, in units of the residual stream; positive = towards the positive pole.

    `centre` must be one point for all checkpoints that are compared (a reference checkpoint's mean), or None for 0.
    """
    return np.asarray(_moved(states, centre) @ unit(direction.astype(np.float64)))


def cosines(
    states: Float[np.ndarray, "prompt d"],
    direction: Float[np.ndarray, "d"],
    *,
    centre: Float[np.ndarray, "d"] | None = None,
) -> Float[np.ndarray, "prompt"]:
    """The cosine of (h - centre) with the direction, of every prompt; 0 for a state at the centre.

    Trust: without a centre a few huge dimensions decide every cosine; give the mean of a reference checkpoint.
    """
    moved = _moved(states, centre)
    lengths = np.linalg.norm(moved, axis=1)
    along = moved @ unit(direction.astype(np.float64))
    return np.asarray(np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0))


def mean_over_prompts(values: Float[np.ndarray, "prompt"], *, metric: str, seed: int = 0) -> Effect:
    """The mean of one value a prompt with its interval over prompts.

    Trust: the interval is about other prompts for this checkpoint, not about other training runs.
    """
    return bootstrap_mean(values, seed=seed, unit="item", control_name="0", metric=metric, draws=_DRAWS)


def projection_shift(
    after: Float[np.ndarray, "prompt d"],
    before: Float[np.ndarray, "other d"],
    direction: Float[np.ndarray, "d"],
    *,
    seed: int = 0,
) -> Effect:
    """How far `after` lies along the direction beyond `before`, paired by prompt; exactly 0 for equal checkpoints.

    Raises:
        CorpusError: the two checkpoints were not read on the same prompts.
    """
    if after.shape != before.shape:
        raise CorpusError(
            f"The checkpoints were read on {len(after)} and {len(before)} prompts: read both on the same ones."
        )
    return paired_difference(
        projections(after, direction),
        projections(before, direction),
        seed=seed,
        unit="item",
        control_name="the same prompts before",
        metric="projection shift",
        draws=_DRAWS,
    )


def _moved(states: np.ndarray, centre: np.ndarray | None) -> Float[np.ndarray, "prompt d"]:
    found = states.astype(np.float64)
    return found if centre is None else np.asarray(found - centre)
