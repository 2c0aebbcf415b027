"""A bounded sample of the text of a cluster, so that describing it takes the same time whatever its size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imprint.errors import ConfigError

_PASSAGES = 10
"""Into how many passages the text of a cluster of one document is cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Some of the text of a cluster."""

    texts: tuple[str, ...]
    documents: int
    """How many documents the texts are from."""
    whole: bool
    """Whether a text is (the beginning of) a document, not a passage of the only one."""


def sample_cluster(
    texts: Sequence[str], *, generator: np.random.Generator, most_characters: int, most_document_characters: int
) -> Sample:
    """Documents in random order, each up to `most_document_characters`, until `most_characters` are reached.

    At least two documents are taken where there are two. A single document is cut into ten passages of equal length.

    Raises:
        ConfigError: a limit below 1.
    """
    if min(most_characters, most_document_characters) < 1:
        raise ConfigError(f"limits of {most_characters} and {most_document_characters} characters leave no sample")
    taken: list[str] = []
    left = most_characters
    for position in generator.permutation(len(texts)):
        if left <= 0 and len(taken) >= 2:
            break
        taken.append(texts[position][:most_document_characters])
        left -= len(taken[-1])
    if len(taken) == 1:
        return Sample(texts=_passages(taken[0]), documents=1, whole=False)
    return Sample(texts=tuple(taken), documents=len(taken), whole=True)


def _passages(text: str) -> tuple[str, ...]:
    size = max(1, -(-len(text) // _PASSAGES))
    return tuple(text[start : start + size] for start in range(0, len(text), size))
