"""The order in which rows are trained on: a table of row indices and loss weights, one line a step."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from imprint.errors import ConfigError, CorpusError
from imprint.runs.files import writing


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """Rows of a `Packed` in training order, and the weight of each row's loss (0 = seen by nobody, order kept)."""

    rows: Int32[np.ndarray, "step batch"]
    weights: Float32[np.ndarray, "step batch"]

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return int(self.rows.shape[0])

    @property
    def batch(self) -> int:
        """Rows in a step."""
        return int(self.rows.shape[1])

    def save(self, folder: Path) -> None:
        """Write `stream_rows.npy` and `stream_weights.npy` into `folder` (made if absent)."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / "stream_rows.npy", self.rows, allow_pickle=False)
            np.save(folder / "stream_weights.npy", self.weights, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "Stream":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        try:
            rows, weights = (np.load(folder / f"stream_{name}.npy", allow_pickle=False) for name in ("rows", "weights"))
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(f"{folder} does not hold a complete stream ({error}); build it again.") from error
        return cls(rows=rows, weights=weights)


def shuffled_stream(rows: int, *, steps: int, batch: int, seed: int) -> Stream:
    """Epochs end to end, each a fresh permutation of all `rows`, cut into `steps` batches with weight 1.

    A shorter stream is the beginning of a longer one. A batch may span two epochs and then hold a row twice.

    Raises:
        ConfigError: a size below 1, a negative seed, or more rows than 32 bits can name.
    """
    if min(rows, steps, batch) < 1 or seed < 0 or rows >= 2**31:
        asked = f"rows={rows}, steps={steps}, batch={batch}, seed={seed}"
        raise ConfigError(f"a stream needs rows, steps, batch >= 1 and seed >= 0, not {asked}.")
    rng = np.random.default_rng(seed)
    epochs = -(-steps * batch // rows)
    order = np.concatenate([rng.permutation(rows).astype(np.int32) for _ in range(epochs)])
    chosen = order[: steps * batch].reshape(steps, batch)
    return Stream(rows=chosen, weights=np.ones((steps, batch), dtype=np.float32))
