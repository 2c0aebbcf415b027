"""The files of a capture: one float16 `.npy` a site, written part by part, and the place of every token beside them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast, final

import numpy as np
from jaxtyping import Float, Integer

from imprint.errors import ComponentNotFound, CorpusError, ImprintError
from imprint.runs import read_json

INDEX_FILE = "activations.json"
_COLUMNS = ("row", "position", "token_id")


@final
class ActivationStore:
    """Captured activations: `states(site)` is a memory map (token, width), with the place of every token beside it."""

    def __init__(self, folder: Path, widths: dict[str, int], tokens: int) -> None:
        """Use `ActivationStore.open`."""
        self.folder, self.widths, self.num_tokens = folder, widths, tokens

    @staticmethod
    def open(folder: Path) -> "ActivationStore":
        """The finished capture in a folder.

        Raises:
            CorpusError: the capture is not finished, or a file is missing or of another size.
        """
        try:
            index = read_json(folder / INDEX_FILE)
            store = ActivationStore(folder, dict(index["widths"]), int(index["tokens"]))
            for site, width in store.widths.items():
                _check_shape(np.load(_site_file(folder, site), mmap_mode="r"), (store.num_tokens, width))
            for name in _COLUMNS:
                _check_shape(np.load(folder / f"{name}.npy", mmap_mode="r"), (store.num_tokens,))
        except (ImprintError, OSError, ValueError, KeyError) as error:
            raise CorpusError(f"{folder} holds no finished capture of activations ({error}); capture again") from error
        return store

    @property
    def sites(self) -> tuple[str, ...]:
        """The captured sites."""
        return tuple(self.widths)

    def states(self, site: str) -> Float[np.ndarray, "token width"]:
        """The float16 activations of a site, read from disk as they are used; `ComponentNotFound` if not captured."""
        if site not in self.widths:
            raise ComponentNotFound(f"'{site}' was not captured; this store has {', '.join(self.widths)}")
        return cast(np.ndarray, np.load(_site_file(self.folder, site), mmap_mode="r"))

    @property
    def row(self) -> Integer[np.ndarray, "token"]:
        """The row of the captured tokens that each state belongs to."""
        return self._column("row")

    @property
    def position(self) -> Integer[np.ndarray, "token"]:
        """The column of its row in which each state's token stands."""
        return self._column("position")

    @property
    def token_id(self) -> Integer[np.ndarray, "token"]:
        """The id of each state's token."""
        return self._column("token_id")

    def _column(self, name: str) -> Integer[np.ndarray, "token"]:
        return cast(np.ndarray, np.load(self.folder / f"{name}.npy", allow_pickle=False))


def allocate(
    folder: Path, tokens: int, widths: Mapping[str, int], columns: Mapping[str, Integer[np.ndarray, "token"]]
) -> None:
    """Files of their full size, whose parts are then written one after another."""
    for site, width in widths.items():
        shape = (tokens, width)
        np.lib.format.open_memmap(_site_file(folder, site), mode="w+", dtype=np.float16, shape=shape)
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", column.astype(np.int32), allow_pickle=False)


def write_part(folder: Path, site: str, states: Float[np.ndarray, "token width"], start: int) -> None:
    """Put a part of a site's states in its place and onto the disk; `start` is the number of its first state."""
    size = states.nbytes // len(states)
    with _site_file(folder, site).open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        header = file.tell()
        file.seek(header + start * size)
        file.write(states.data)
        file.flush()
        os.fdatasync(file.fileno())


def _site_file(folder: Path, site: str) -> Path:
    return folder / f"{site}.npy"


def _check_shape(array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"an array of shape {array.shape} where {shape} belongs")
