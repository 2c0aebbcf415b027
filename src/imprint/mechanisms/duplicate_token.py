"""Duplicate-token heads: do they look from the second occurrence of a token back to the first?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.mechanisms.head_table import HeadRows
from imprint.models import attention_patterns


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DuplicateProbe:
    """Attention from second to first occurrences as a `HeadMechanism`: build it with `duplicate_probe`.

    The score is the attention mass from the second occurrence on the first, less the mass between the same two positions
    when the second token is a new one: in [-1, 1], and 0 for heads that do not read the tokens, uniform ones among them.

    Source: Wang et al. 2022 (Interpretability in the wild), duplicate-token heads; the control is ours.
    Trust: a head that matches content alone also finds the token itself and so scores 1/2 at best; only a head kept from
    itself reaches 1. Attention is not effect.
    """

    tokens: Int[Tensor, "row seq"]
    without: Int[Tensor, "row seq"]
    """The same rows with a new token in place of every second occurrence."""
    first: Int[Tensor, "row pair"]
    second: Int[Tensor, "row pair"]

    name = "duplicate token"
    control = "the same positions without a duplicate"

    def rows(self, model: PreTrainedModel) -> HeadRows:
        """Attention from second to first occurrence less the control, over the pairs of each row."""
        return self._mass(self._difference(model), self.first)

    def attention(self, model: PreTrainedModel) -> HeadRows:
        """The attention mass itself, in [0, 1]: chance is that of uniform attention, not 0."""
        return self._mass(attention_patterns(model, self.tokens.to(model.device)).cpu(), self.first)

    def null(self, model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
        """The largest score of any head when the target of every second occurrence is a random earlier position."""
        difference = self._difference(model)
        generator = torch.Generator().manual_seed(seed)
        maxima = []
        for _ in range(draws):
            targets = (torch.rand(self.second.shape, generator=generator) * self.second).long()
            maxima.append(self._mass(difference, targets).mean(-1).max())
        return torch.stack(maxima)

    def _difference(self, model: PreTrainedModel) -> Float[Tensor, "layer row head seq seq"]:
        planted, without = (attention_patterns(model, part.to(model.device)) for part in (self.tokens, self.without))
        return (planted - without).cpu()

    def _mass(self, read: Float[Tensor, "layer row head seq seq"], targets: Int[Tensor, "row pair"]) -> HeadRows:
        lines = torch.arange(len(targets))[:, None]
        return read[:, lines, :, self.second, targets].mean(1).permute(1, 2, 0)


def duplicate_probe(
    alphabet: Sequence[int], *, length: int = 32, pairs: int = 4, rows: int = 32, seed: int = 0, bos: int | None = None
) -> DuplicateProbe:
    """Rows of different random tokens in which `pairs` tokens come a second time, at random distances.

    Raises:
        ConfigError: more pairs than fit into the length, or an alphabet too small for the row and its control.
    """
    pool = np.unique(np.asarray(alphabet))
    if pairs < 1 or 2 * pairs > length:
        raise ConfigError(f"{pairs} pairs do not fit into {length} tokens; give at least 1 and at most {length // 2}.")
    if len(pool) < length:
        raise ConfigError(f"A row of {length} tokens and its control need as many tokens, but {len(pool)} were given.")
    if bos in pool:
        raise ConfigError(f"The alphabet holds the BOS token {bos}; leave it out.")
    rng = np.random.default_rng(seed)
    without = np.stack([rng.permutation(pool)[:length] for _ in range(rows)]).astype(np.int64)
    places = np.stack([rng.permutation(length)[: 2 * pairs].reshape(pairs, 2) for _ in range(rows)])
    first, second = np.sort(places, axis=-1).transpose(2, 0, 1)
    tokens = without.copy()
    np.put_along_axis(tokens, second, np.take_along_axis(without, first, axis=1), axis=1)
    start = np.full((rows, int(bos is not None)), bos or 0)
    shift = start.shape[1]
    return DuplicateProbe(
        tokens=torch.from_numpy(np.concatenate([start, tokens], axis=1)),
        without=torch.from_numpy(np.concatenate([start, without], axis=1)),
        first=torch.from_numpy(first + shift),
        second=torch.from_numpy(second + shift),
    )
