"""Standardisation per dimension whose statistics come from the training tokens and travel with the clusters."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from imprint.corpus.clusters.scaled import check_states
from imprint.errors import CorpusError
from imprint.runs.files import atomic_file, writing

_CHUNK = 8192
_FILE = "standardiser.npz"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standardiser:
    """Mean and standard deviation of every dimension over the tokens it was fitted on.

    A dimension that never varies has scale 1, so it is only centred.
    """

    mean: Float[np.ndarray, "d"]
    scale: Float[np.ndarray, "d"]

    @staticmethod
    def fit(states: Float[np.ndarray, "n d"]) -> "Standardiser":
        """The statistics of these (training) states, in double precision, a chunk at a time (METHODS §5).

        Raises:
            CorpusError: values that are not finite, or no state.

        Trust: a few massive activations (first tokens, delimiters) can carry most of a dimension's variance and so
        flatten all the others; look at the largest `scale`.
        """
        check_states(states)
        total, squares = np.zeros(states.shape[1]), np.zeros(states.shape[1])
        for chunk in _chunks(states):
            total += chunk.sum(0)
        mean = total / len(states)
        for chunk in _chunks(states):
            squares += ((chunk - mean) ** 2).sum(0)
        scale = np.sqrt(squares / len(states))
        varies = scale > 1e-12 * (1 + np.abs(mean))
        return Standardiser(mean=mean, scale=np.where(varies, scale, 1.0))

    def apply(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The states, of training or of new tokens, in units of the training tokens' standard deviations (float32).

        Raises:
            CorpusError: states of another width.
        """
        if states.shape[1] != len(self.mean):
            raise CorpusError(
                f"states of width {states.shape[1]} do not fit a standardiser of width {len(self.mean)}; "
                f"use states of the same model and site"
            )
        standard = np.empty(states.shape, dtype=np.float32)
        for start in range(0, len(states), _CHUNK):
            part = slice(start, start + _CHUNK)
            standard[part] = (states[part].astype(np.float64) - self.mean) / self.scale
        return standard

    def save(self, folder: Path) -> None:
        """Write `standardiser.npz` into `folder` (made if absent)."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(folder / _FILE) as temporary:
                np.savez(temporary, mean=self.mean, scale=self.scale)

    @staticmethod
    def load(folder: Path) -> "Standardiser":
        """Read back what `save` wrote.

        Raises:
            CorpusError: the file is missing or damaged.
        """
        try:
            with np.load(folder / _FILE, allow_pickle=False) as arrays:
                return Standardiser(mean=arrays["mean"], scale=arrays["scale"])
        except (OSError, ValueError, KeyError) as error:
            raise CorpusError(f"{folder} does not hold a standardiser ({error}); cluster the tokens again") from error


def _chunks(states: Float[np.ndarray, "n d"]) -> Iterator[Float[np.ndarray, "some d"]]:
    yield from (states[start : start + _CHUNK].astype(np.float64) for start in range(0, len(states), _CHUNK))
