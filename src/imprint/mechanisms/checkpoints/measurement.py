"""What is measured of one checkpoint on fixed prompts, and the files that hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from imprint.errors import CorpusError
from imprint.mechanisms.checkpoints.readings import PromptReadings
from imprint.runs import read_json, write_json, writing

_INDEX = "measurement.json"
_OUTPUTS = ("entropy", "loss", "answer_tokens")

Poles = tuple[Float[np.ndarray, "pair d"], Float[np.ndarray, "pair d"]]
"""States of the positive and of the negative prompts of a contrast, paired by row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointMeasurement:
    """One checkpoint on fixed prompts, and on the two poles of every contrast."""

    ids: tuple[str, ...]
    """The conversations of the fixed prompts."""
    sets: tuple[str, ...]
    """The set (domain) that each belongs to."""
    prompts: PromptReadings
    poles: Mapping[tuple[str, str], Poles]
    """By contrast and site."""

    def save(self, folder: Path) -> None:
        """Write `.npy` files and `measurement.json` into `folder` (made if absent)."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            arrays = {name: getattr(self.prompts, name) for name in _OUTPUTS}
            arrays |= {f"prompts.{site}": states for site, states in self.prompts.states.items()}
            for (contrast, site), (positive, negative) in self.poles.items():
                arrays |= {f"{contrast}.positive.{site}": positive, f"{contrast}.negative.{site}": negative}
            for name, array in arrays.items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            index = {
                "ids": self.ids,
                "sets": self.sets,
                "sites": list(self.prompts.states),
                "contrasts": [list(key) for key in self.poles],
            }
            write_json(folder / _INDEX, index)

    @classmethod
    def load(cls, folder: Path) -> "CheckpointMeasurement":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """

        def array(name: str) -> np.ndarray:
            found: np.ndarray = np.load(folder / f"{name}.npy", allow_pickle=False)
            return found

        try:
            index = read_json(folder / _INDEX)
            prompts = PromptReadings(
                states={site: array(f"prompts.{site}") for site in index["sites"]},
                entropy=array("entropy"),
                loss=array("loss"),
                answer_tokens=array("answer_tokens"),
            )
            poles = {
                (contrast, site): (array(f"{contrast}.positive.{site}"), array(f"{contrast}.negative.{site}"))
                for contrast, site in index["contrasts"]
            }
        except (OSError, ValueError, EOFError) as error:
            raise CorpusError(f"{folder} holds no complete measurement ({error}); measure again.") from error
        return cls(ids=tuple(index["ids"]), sets=tuple(index["sets"]), prompts=prompts, poles=poles)


def stacked_states(measured: Sequence[CheckpointMeasurement], site: str) -> Float[np.ndarray, "checkpoint prompt d"]:
    """The states of several checkpoints on the same fixed prompts, for `checkpoint_directions` and `condition_probe`.

    Raises:
        CorpusError: no checkpoint, other prompts or another width, or a site that was not measured.
    """
    missing = [number for number, one in enumerate(measured) if site not in one.prompts.states]
    if not measured or missing:
        raise CorpusError(f"{site} was not measured at checkpoint {missing[0] if missing else 0}; measure it at all.")
    states = [one.prompts.states[site] for one in measured]
    if len({one.ids for one in measured}) > 1 or len({one.shape for one in states}) > 1:
        raise CorpusError("the checkpoints were measured on other prompts or differ in width: use the same settings.")
    return np.stack(states)
