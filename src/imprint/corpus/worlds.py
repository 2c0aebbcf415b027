"""Planted token worlds: rows of ids in which the cause of induction is known, to test attribution against the truth.

Kinds (METHODS §2.4–2.5b): *prose* is a second-order Markov chain (it needs a previous-token head), *novel repeats* are
the planted cause of induction, *boilerplate* and *noise* are the hard negatives.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped
from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus import motifs
from imprint.corpus.planted import BOILERPLATE, NOISE, NOVEL_REPEATS
from imprint.errors import ConfigError

Kind = Literal["prose", "novel repeats", "boilerplate", "noise"]
PROSE: Kind = "prose"
_PREVIOUS_WEIGHT = 1.5
_TABLES, _ROWS, _SEGMENTS = 1, 2, 3  # independent random streams of one world


class PlantedWorld(BaseModel):
    """A source of token rows with known truth; equal fields give equal rows.

    Trust: at this budget induction forms within about 1 000 steps only with a vocabulary near 64 and random periods
    (METHODS §2.3); a fixed `period` teaches a positional copy and must fail at any other period.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: int = Field(default=64, ge=2, le=256)
    """Number of content tokens; with `bos` the ids run to vocabulary, else to vocabulary - 1."""
    context: int = Field(default=64, ge=12)
    """Rows have context + 1 tokens (inputs and labels overlap by all but one)."""
    shares: dict[Kind, float] = {"prose": 0.7, "novel repeats": 0.3}
    """Probability of each kind; must add to 1."""
    seed: int = Field(default=0, ge=0)
    """Fixes the chain of the prose and the segments of the boilerplate, not the rows (see `sample`)."""
    ord2: float = Field(default=1.0, gt=0)
    """Scale of the prose logits: larger is more predictable."""
    period: int | None = Field(default=None, ge=1)
    """One period for all novel repeats (the mutation of AT-IH-2); None draws it for each row, from 6 to half a row."""
    segments: int = Field(default=8, ge=1)
    """Number of fixed segments of the boilerplate."""
    bos: bool = False
    """Begin each row with id 0 and shift the content tokens up by one."""

    @model_validator(mode="after")
    def _shares_are_probabilities(self) -> "PlantedWorld":
        if min(self.shares.values(), default=-1.0) < 0 or abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError(f"shares must be probabilities that add to 1, not {self.shares}")
        if self.period is not None and self.period > self.context:
            raise ValueError(f"period {self.period} does not repeat within context {self.context}")
        return self

    @property
    def cause(self) -> str:
        """The kind of document that makes induction heads form."""
        return NOVEL_REPEATS

    @property
    def negatives(self) -> tuple[str, ...]:
        """Kinds that look like the cause to a naive score and are not."""
        return (BOILERPLATE, NOISE)

    @property
    def token_ids(self) -> int:
        """Size of the embedding that a model of this world needs."""
        return self.vocabulary + int(self.bos)

    def sample(self, count: int, seed: int) -> tuple[Int[np.ndarray, "row seq_plus_1"], Shaped[np.ndarray, "row"]]:
        """`count` rows of context + 1 token ids and the kind of each; the same seed gives the same rows.

        Raises:
            ConfigError: `count` or `seed` is negative.
        """
        if count < 0 or seed < 0:
            raise ConfigError(f"cannot sample {count} rows with seed {seed}; both must be 0 or more.")
        rng = np.random.default_rng([_ROWS, self.seed, seed])
        names = sorted(self.shares)
        kinds = np.array(names)[rng.choice(len(names), size=count, p=[self.shares[name] for name in names])]
        tokens = np.zeros((count, self.context + 1), dtype=np.int64)
        for name in names:
            rows = np.flatnonzero(kinds == name)
            tokens[rows, int(self.bos) :] = self._content(name, len(rows), rng) + int(self.bos)
        return tokens, kinds

    def _content(self, kind: Kind, rows: int, rng: np.random.Generator) -> Int[np.ndarray, "row length"]:
        length, symbols = self.context + 1 - int(self.bos), self.vocabulary
        if kind == NOVEL_REPEATS:
            return motifs.fresh_repeats(rng, rows=rows, length=length, symbols=symbols, period=self.period)
        if kind == BOILERPLATE:
            seed = int(np.random.default_rng([_SEGMENTS, self.seed]).integers(2**62))
            fixed = motifs.fixed_segments(count=self.segments, length=length, symbols=symbols, seed=seed)
            return motifs.tiled(rng, fixed, rows=rows, length=length)
        if kind == NOISE:
            return motifs.uniform(rng, rows=rows, length=length, symbols=symbols)
        return _prose(rng, prose_table(self), rows=rows, length=length)


def prose_table(world: PlantedWorld) -> Float[np.ndarray, "previous current following"]:
    """Transition probabilities of the prose: softmax over `following` of ord2 * (A[current] + 1.5 B[previous])."""
    return _transition(world.vocabulary, world.seed, world.ord2)


@lru_cache(maxsize=4)
def _transition(vocabulary: int, seed: int, ord2: float) -> Float[np.ndarray, "previous current following"]:
    rng = np.random.default_rng([_TABLES, seed])
    by_current, by_previous = rng.standard_normal((2, vocabulary, vocabulary))
    logits = ord2 * (by_current[None, :, :] + _PREVIOUS_WEIGHT * by_previous[:, None, :])
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _prose(
    rng: np.random.Generator, table: Float[np.ndarray, "symbol symbol symbol"], *, rows: int, length: int
) -> Int[np.ndarray, "row length"]:
    """Second-order chain by inverse sampling: the cumulative sums of all contexts on one ascending line."""
    symbols = table.shape[0]
    cumulative = np.cumsum(table.reshape(-1, symbols), axis=1)
    line = (cumulative + np.arange(symbols * symbols)[:, None]).ravel()
    tokens = rng.integers(0, symbols, size=(length, rows))
    draws = rng.random((length, rows))
    for t in range(2, length):
        context = tokens[t - 2] * symbols + tokens[t - 1]
        found = np.searchsorted(line, context + draws[t], side="right") - context * symbols
        tokens[t] = np.minimum(found, symbols - 1)
    return tokens.T


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "ord2": {"shares": {PROSE: 0.7, NOVEL_REPEATS: 0.3}},
    "hard-negatives": {"shares": {PROSE: 0.57, NOVEL_REPEATS: 0.30, BOILERPLATE: 0.05, NOISE: 0.08}},
    "repeats": {"shares": {NOVEL_REPEATS: 1.0}},
    "fixed-period": {"shares": {NOVEL_REPEATS: 1.0}, "period": 33},
}
"""Worlds of METHODS §2.3–2.5b by name."""


def planted_world(name: str, *, seed: int = 0) -> PlantedWorld:
    """One of the `PRESETS` with its own seed.

    Raises:
        ConfigError: no preset has this name.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no planted world {name!r}; choose one of {', '.join(sorted(PRESETS))}.")
    return PlantedWorld(**PRESETS[name], seed=seed)
