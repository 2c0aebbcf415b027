"""Successor heads: reading Monday, does a head raise Tuesday? For numbers, days, months, letters or any list of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.errors import ConfigError
from imprint.mechanisms.head_table import HeadRows
from imprint.mechanisms.ov_circuit import ov_logits, raised_share


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SuccessorProbe:
    """The successor score of every head as a `HeadMechanism`: build it with `successor_probe`.

    For each pair (token, successor), the head's output when it reads the token alone: the share of the raised logits of the
    lists' tokens that goes to the successor, less the share of the lowered ones (`raised_share`): in [-1, 1], 1 = only
    the successor rises, 0 = chance. A row is a pair.

    Source: Gould et al. 2023 (Successor heads), who take the argmax over the list's tokens (from memory); here `hits`.
    Trust: the direct path from one token read in isolation. Lists of one kind can be learnt by heart: give several kinds,
    and pairs that are no ordinal list as a control.
    """

    sources: Int[Tensor, "pair"]
    candidates: Int[Tensor, "candidate"]
    """All tokens of all lists: a successor is judged among them."""
    successors: Int[Tensor, "pair"]
    """For each source, which candidate is its successor."""
    bos: int | None

    name = "successor"
    control = "a head that raises any token of the lists alike: 0"

    def rows(self, model: PreTrainedModel) -> HeadRows:
        """The successor score of every pair."""
        return _chosen(raised_share(self.logits(model)), self.successors)

    def hits(self, model: PreTrainedModel) -> HeadRows:
        """1 where the successor is raised most of all candidates, else 0 (also where a head raises none)."""
        logits = self.logits(model)
        top = _chosen(logits, self.successors)
        return ((logits >= top[..., None]).sum(-1) == 1).to(logits.dtype)

    def null(self, model: PreTrainedModel, *, draws: int, seed: int) -> Float[Tensor, "draw"]:
        """The largest score of any head when the successors are dealt out to the tokens at random."""
        shares = raised_share(self.logits(model))
        rng = np.random.default_rng(seed)
        deals = [self.successors[torch.from_numpy(rng.permutation(len(self.successors)))] for _ in range(draws)]
        return torch.stack([_chosen(shares, deal).mean(-1).max() for deal in deals])

    def logits(self, model: PreTrainedModel) -> Float[Tensor, "layer head pair candidate"]:
        """What each head that reads a source alone adds to the candidates, less the mean of the vocabulary."""
        tokens = self.sources[:, None]
        if self.bos is not None:
            tokens = torch.nn.functional.pad(tokens, (1, 0), value=self.bos)
        candidates = self.candidates.expand(len(tokens), -1)
        return torch.stack([logits[:, :, -1] for logits in ov_logits(model, tokens, candidates)])


def successor_probe(pairs: Sequence[tuple[int, int]], *, bos: int | None = None) -> SuccessorProbe:
    """A probe of any (token, successor) pairs of token ids, such as `ordinal_pairs` of several lists.

    Raises:
        ConfigError: fewer than 3 pairs (their shuffles are no null), or a token with two successors.
    """
    sources = [source for source, _ in pairs]
    if len(pairs) < 3:
        raise ConfigError(f"{len(pairs)} pairs are too few for a null of shuffled successors; give at least 3.")
    twice = sorted({source for source in sources if sources.count(source) > 1})
    if twice:
        raise ConfigError(f"Token {twice[0]} has two successors in the lists; give each token one.")
    candidates = sorted({token for pair in pairs for token in pair})
    return SuccessorProbe(
        sources=torch.tensor(sources),
        candidates=torch.tensor(candidates),
        successors=torch.tensor([candidates.index(successor) for _, successor in pairs]),
        bos=bos,
    )


def ordinal_pairs(*lists: Sequence[int], cyclic: bool = False) -> list[tuple[int, int]]:
    """The (token, next token) pairs of ordinal lists of token ids; `cyclic` joins each end to its beginning (days, months)."""
    pairs = [pair for each in lists for pair in pairwise(each)]
    return pairs + [(each[-1], each[0]) for each in lists] if cyclic else pairs


def _chosen(tables: Float[Tensor, "layer head pair candidate"], target: Int[Tensor, "pair"]) -> HeadRows:
    return tables[:, :, torch.arange(len(target)), target]
