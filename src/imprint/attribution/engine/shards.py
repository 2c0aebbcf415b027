"""A pass over the rows in shards: each finished shard is a file, so that a killed run loses at most one."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.scoring import Pass, score_pass
from imprint.attribution.engine.subspace import Subspace
from imprint.errors import ConfigError
from imprint.runs import atomic_file, read_json, write_json
from imprint.types import Advance

SHARD_TOKENS = 1 << 17
_RUN_FILE = "run.json"


class Shards:
    """The shards of one scoring pass, in a folder, or in memory without one."""

    def __init__(
        self,
        folder: Path | None,
        tokens: Int[Tensor, "row seq_plus_1"],
        lengths: Int[Tensor, "row"],
        directions: Sequence[Float[Tensor, "query _out _in"]],
    ) -> None:
        """Begin, or go on with what the folder (see `claim`) holds of the very same pass."""
        self.folder, self.tokens, self.lengths, self.directions = folder, tokens, lengths, directions
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def collect(
        self,
        model: PreTrainedModel,
        subspace: Subspace,
        *,
        by_token: bool,
        norms: bool,
        batch: int,
        advance: Advance,
    ) -> Pass:
        """The whole pass: finished shards are read, the others computed and written."""
        whole = Pass()
        size = max(1, SHARD_TOKENS // self.tokens.shape[1])
        for number, start in enumerate(range(0, len(self.tokens), size)):
            rows = slice(start, start + size)
            path = None if self.folder is None else self.folder / f"shard_{number:05d}.safetensors"
            if path is not None and path.exists():
                found = load_file(path)
                advance(len(self.tokens[rows]))
            else:
                found = _tensors(
                    score_pass(
                        model,
                        subspace,
                        self.directions,
                        self.tokens[rows],
                        self.lengths[rows],
                        by_token=by_token,
                        norms=norms,
                        batch=batch,
                        advance=advance,
                    ),
                    by_token=by_token,
                )
                if path is not None:
                    with atomic_file(path) as partial:
                        save_file(found, partial)
            (whole.scores if by_token else whole.rows).append(found["scores"])
            whole.losses.append(found["losses"])
            whole.squared_norms.append(found["squared_norms"])
        return whole


def _tensors(found: Pass, *, by_token: bool) -> dict[str, Tensor]:
    scores = torch.cat(found.scores, dim=1) if by_token else torch.cat(found.rows, dim=2)
    return {"scores": scores, "losses": torch.cat(found.losses), "squared_norms": torch.cat(found.squared_norms)}


def claim(folder: Path, what: str, words: object, tensors: Iterable[Tensor]) -> None:
    """Make a folder the place of one piece of work, named by all that decides its bytes.

    Raises:
        ConfigError: the folder holds other work of the kind `what`.
    """
    digest, path = _digest(words, tensors), folder / _RUN_FILE
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_json(path, {"digest": digest})
    elif read_json(path)["digest"] != digest:
        raise ConfigError(f"'{folder}' holds {what}; give another folder, or remove it")


def _digest(words: object, tensors: Iterable[Tensor]) -> str:
    total = hashlib.sha256(repr(words).encode())
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        total.update(str((plain.dtype, tuple(plain.shape))).encode())
        total.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
