"""The mechanisms that imprint knows by name, on sequences of random tokens of one alphabet."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from imprint.errors import ConfigError
from imprint.mechanisms.copying import copying_probe
from imprint.mechanisms.duplicate_token import duplicate_probe
from imprint.mechanisms.head_table import HeadMechanism
from imprint.mechanisms.induction import previous_token
from imprint.mechanisms.successor import successor_probe
from imprint.mechanisms.user_score import PatternScore

MECHANISMS = ("previous_token", "copying", "duplicate_token", "successor")
OV_MECHANISMS = ("copying", "successor")
"""Those that read the path from a head to the logits, which OLMo-2, for one, does not have (`has_direct_path`)."""
_LONGEST_COPYING = 25
_LONGEST_DUPLICATES = 32
_PAIRS = 4


def standard_mechanism(
    name: str,
    alphabet: Sequence[int],
    *,
    context: int,
    rows: int = 16,
    seed: int = 0,
    bos: int | None = None,
    successors: Sequence[tuple[int, int]] = (),
) -> HeadMechanism:
    """A mechanism of `MECHANISMS` with a probe of `rows` random sequences that fits the context and the alphabet.

    `successors` are the (token, next token) pairs that a successor head should know; only "successor" reads them.

    Raises:
        ConfigError: a name that is not known, an alphabet or a context too small for the probe, or fewer than 3 successors.

    Trust: that of the mechanism's own probe; induction is not among them, because `locate` asks more of it.
    """
    room = context - (bos is not None)
    if name == "previous_token":
        tokens = _random_rows(alphabet, room, rows, seed, bos)
        return PatternScore(name="previous token", score=lambda patterns, _: previous_token(patterns), tokens=tokens)
    if name == "copying":
        length = min(_LONGEST_COPYING, len(set(alphabet)), room)
        return copying_probe(alphabet, length=length, rows=rows, seed=seed, bos=bos)
    if name == "duplicate_token":
        length = min(_LONGEST_DUPLICATES, len(set(alphabet)), room)
        pairs = min(_PAIRS, length // 2)
        return duplicate_probe(alphabet, length=length, pairs=pairs, rows=rows, seed=seed, bos=bos)
    if name == "successor":
        return successor_probe(successors, bos=bos)
    raise ConfigError(f"'{name}' is no mechanism that imprint knows; choose one of {', '.join(MECHANISMS)}.")


def _random_rows(alphabet: Sequence[int], length: int, rows: int, seed: int, bos: int | None) -> Int[Tensor, "row seq"]:
    if bos in alphabet:
        raise ConfigError(f"The alphabet holds the BOS token {bos}; leave it out.")
    drawn = np.random.default_rng(seed).choice(np.unique(np.asarray(alphabet)), size=(rows, length))
    start = np.full((rows, int(bos is not None)), bos or 0)
    return torch.from_numpy(np.concatenate([start, drawn], axis=1).astype(np.int64))
