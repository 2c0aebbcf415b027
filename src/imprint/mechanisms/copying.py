"""Copying heads: does a head raise the logit of the very token it attends to, on sequences of random tokens?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.mechanisms.head_table import HeadRows
from imprint.mechanisms.ov_circuit import ov_logits, raised_share
from imprint.models import attention_patterns


@dataclass(frozen=True, kw_only=True, eq=False)
class CopyingProbe:
    """The copying score of every head as a `HeadMechanism`: build it with `copying_probe`.

    For each position read, the share of the raised logits of the probe's tokens that goes to the token read, less the share
    of the lowered ones (`raised_share`), weighted by the attention that the position gets: in [-1, 1], 1 = a perfect copier,
    -1 = it lowers just what it reads, 0 = chance.

    Source: Olsson et al. 2022, appendix (from memory: 25 random tokens without the most and least common, the head's direct
    effect on the logits, less their mean, ReLU, the share of the attended tokens rescaled to [-1, 1]). Here what is lowered
    counts as what is raised does, so that chance is 0 and a head's negative has the negative score.
    Trust: give `initial_maxima`: random heads copy a little (with tied embeddings the diagonal of their OV circuit has a
    mean), so against shuffled tokens alone fresh models are called too often. An OV score knows no use: a head may copy what
    it never needs to. The BOS is not scored, so a head that rests on it is judged by the little it gives elsewhere.
    """

    tokens: Int[Tensor, "row seq"]
    """Random tokens, all different within a row, after the BOS if there is one."""
    first: int
    """Where the random tokens begin."""

    name = "copying"
    control = "a head whose output has nothing to do with the token read: 0"

    def rows(self, model: PreTrainedModel) -> HeadRows:
        """The copying score on every sequence."""
        return self.judged(self.shares(model), torch.arange(len(self.candidates)))

    def null(self, model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
        """The largest score of any head when each token read is judged by a random other one, the same in all rows."""
        shares = self.shares(model)
        rng = np.random.default_rng(seed)
        orders = [torch.from_numpy(rng.permutation(len(self.candidates))) for _ in range(draws)]
        return torch.stack([self.judged(shares, order).mean(-1).max() for order in orders])

    @cached_property
    def candidates(self) -> Int[Tensor, "candidate"]:
        """All tokens of the probe: the one read is judged among them."""
        return torch.from_numpy(np.unique(self.tokens[:, self.first :].numpy()))

    def shares(self, model: PreTrainedModel) -> list[Float[Tensor, "head row read candidate"]]:
        """By layer: shares of the candidates for each position read, times the part of the attention it gets."""
        candidates = self.candidates.expand(len(self.tokens), -1)
        patterns = attention_patterns(model, self.tokens.to(model.device)).cpu()
        tables = []
        for pattern, logits in zip(patterns, ov_logits(model, self.tokens, candidates), strict=True):
            got = pattern[..., self.first :, self.first :].sum(-2).transpose(0, 1)
            weight = got / got.sum(-1, keepdim=True).clamp(min=torch.finfo(got.dtype).tiny)
            tables.append(raised_share(logits[:, :, self.first :]) * weight[..., None])
        return tables

    def judged(
        self, shares: Sequence[Float[Tensor, "head row read candidate"]], order: Int[Tensor, "candidate"]
    ) -> HeadRows:
        """The score of each row when the i-th candidate, wherever it is read, is judged by the `order[i]`-th."""
        read = order[torch.searchsorted(self.candidates, self.tokens[:, self.first :].contiguous())][None, ..., None]
        scores = [table.gather(-1, read.expand(len(table), -1, -1, -1))[..., 0].sum(-1) for table in shares]
        return torch.stack(scores)


def copying_probe(
    alphabet: Sequence[int], *, length: int = 25, rows: int = 16, seed: int = 0, bos: int | None = None
) -> CopyingProbe:
    """Sequences of `length` random tokens of the alphabet, all different within a row.

    Raises:
        ConfigError: fewer than 2 tokens, an alphabet smaller than the length, or one that holds the BOS.
    """
    pool = np.unique(np.asarray(alphabet))
    if length < 2 or len(pool) < length:
        raise ConfigError(f"A length of {length} needs at least 2 and at most {len(pool)} tokens, the alphabet's size.")
    if bos in pool:
        raise ConfigError(f"The alphabet holds the BOS token {bos}; leave it out.")
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.permutation(pool)[:length] for _ in range(rows)]).astype(np.int64)
    start = np.full((rows, int(bos is not None)), bos or 0)
    return CopyingProbe(tokens=torch.from_numpy(np.concatenate([start, drawn], axis=1)), first=start.shape[1])
