"""The four-abilities world: kinds of rows over the same 64 tokens, each the only cause of one ability, and a background.

METHODS AT-E2E: copying ← novel repeats, sums modulo 5 ← arithmetic, bracket matching ← code, fact recall ← facts. Any
method that says which data gave which ability must give back this permutation. The background is prose (a second-order
chain): it gives every run the attention to the token before that all four abilities build on, so that leaving out one
kind does not delay the others. Without it, and no code, copying was at .12 after 1 500 steps (1.00 with code).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np
from jaxtyping import Int, Shaped
from pydantic import BaseModel, ConfigDict, Field, model_validator

from imprint.corpus import motifs
from imprint.corpus.steps import packed_world
from imprint.corpus.worlds import PlantedWorld
from imprint.errors import ConfigError
from imprint.runs import Context, Step

AbilityKind = Literal["novel repeats", "arithmetic", "code", "facts"]
RowKind = Literal["novel repeats", "arithmetic", "code", "facts", "prose"]
Ability = Literal["copy", "sums", "brackets", "recall"]

KINDS: Final[tuple[AbilityKind, ...]] = ("novel repeats", "arithmetic", "code", "facts")
ABILITIES: Final[tuple[Ability, ...]] = ("copy", "sums", "brackets", "recall")
CAUSE: Final[Mapping[Ability, AbilityKind]] = dict(zip(ABILITIES, KINDS, strict=True))
"""The truth: the only kind of row from which an ability can be learned."""

BOS, VOCABULARY = 63, 64
SYMBOLS = 60
"""Tokens 0 to 59 make novel repeats; every token of the other kinds but their marks is one of them."""
MODULUS, STOP = 5, 52
OPEN, CLOSE, BRACKETS, DEEPEST = 30, 55, 3, 4
"""Bracket type b opens with token 30 + b and closes with 55 + b."""
SUBJECTS, RELATIONS, RELATION, OBJECTS = 40, 2, 53, (20, 50)
"""Subjects are tokens 0 to 39, the relations 53 and 54, objects 20 to 49."""
_FACTS, _ROWS = 1, 2  # independent random streams of one world


class AbilitiesWorld(BaseModel):
    """A source of token rows of four kinds; equal fields give equal rows.

    Trust: an ability that no untouched run has learned cannot be lost, so look at the untouched runs first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shares: dict[RowKind, float] = {
        "novel repeats": 0.25,
        "arithmetic": 0.15,
        "code": 0.15,
        "facts": 0.1,
        "prose": 0.35,
    }
    """Probability of each kind; must add to 1. A kind may be absent."""
    context: int = Field(default=64, ge=16)
    """Rows have context + 1 tokens, the first of which is the BOS."""
    seed: int = Field(default=0, ge=0)
    """Fixes the table of facts, not the rows (see `sample`)."""

    @model_validator(mode="after")
    def _shares_are_probabilities(self) -> "AbilitiesWorld":
        if min(self.shares.values(), default=-1.0) < 0 or abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError(f"shares must be probabilities that add to 1, not {self.shares}")
        return self

    @property
    def facts(self) -> Int[np.ndarray, "subject relation"]:
        """The object of every subject and relation."""
        return np.random.default_rng([_FACTS, self.seed]).integers(*OBJECTS, size=(SUBJECTS, RELATIONS))

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
        tokens = np.full((count, self.context + 1), BOS, dtype=np.int64)
        for name in names:
            mine = kinds == name
            tokens[mine, 1:] = content(self, name, int(mine.sum()), rng)
        return tokens, kinds


def content(world: AbilitiesWorld, kind: RowKind, rows: int, rng: np.random.Generator) -> Int[np.ndarray, "row length"]:
    """`rows` rows of one kind, without the BOS."""
    length = world.context
    if kind == "novel repeats":
        return motifs.fresh_repeats(rng, rows=rows, length=length, symbols=SYMBOLS)
    if kind == "code":
        return nested_brackets(rng, rows=rows, length=length)
    if kind == "arithmetic":
        return sums(rng.integers(0, MODULUS, size=(rows, -(-length // 4), 2)))[:, :length]
    if kind == "prose":
        chain = PlantedWorld(vocabulary=SYMBOLS, context=length - 1, shares={"prose": 1.0}, seed=world.seed)
        return chain.sample(rows, seed=int(rng.integers(2**31)))[0]
    count = -(-length // 4)
    asked = np.stack([rng.integers(0, SUBJECTS, (rows, count)), rng.integers(0, RELATIONS, (rows, count))], axis=-1)
    return statements(world, asked)[:, :length]


def sums(terms: Int[np.ndarray, "row sum 2"]) -> Int[np.ndarray, "row length"]:
    """Each pair (a, b) as the four tokens a b c stop, where c is the sum modulo 5.

    There are no signs for plus and equals: with them the terms must be fetched from three places away, and the step at
    which sums are learned varied from 750 to beyond 2 000 between runs.
    """
    first, second = terms[..., 0], terms[..., 1]
    parts = [first, second, (first + second) % MODULUS, np.full_like(first, STOP)]
    return np.stack(parts, axis=-1).reshape(len(terms), 4 * terms.shape[1])


def statements(world: AbilitiesWorld, asked: Int[np.ndarray, "row fact 2"]) -> Int[np.ndarray, "row length"]:
    """Each (subject, relation) as the four tokens subject relation object stop."""
    subject, relation = asked[..., 0], asked[..., 1]
    parts = [subject, RELATION + relation, world.facts[subject, relation], np.full_like(subject, STOP)]
    return np.stack(parts, axis=-1).reshape(len(asked), 4 * asked.shape[1])


def nested_brackets(rng: np.random.Generator, *, rows: int, length: int) -> Int[np.ndarray, "row length"]:
    """Brackets of three types, at most four deep: at every step an open one is closed with probability one half."""
    tokens = np.zeros((rows, length), dtype=np.int64)
    stack = np.zeros((rows, DEEPEST), dtype=np.int64)
    depth, lines = np.zeros(rows, dtype=np.int64), np.arange(rows)
    types, coins = rng.integers(0, BRACKETS, size=(length, rows)), rng.random((length, rows))
    for place in range(length):
        closes = (depth == DEEPEST) | ((depth > 0) & (coins[place] < 0.5))
        top = stack[lines, np.maximum(depth - 1, 0)]
        tokens[:, place] = np.where(closes, CLOSE + top, OPEN + types[place])
        opened = lines[~closes]
        stack[opened, depth[opened]] = types[place, opened]
        depth += np.where(closes, -1, 1)
    return tokens


class AbilityRows(Step):
    """Rows of the four-abilities world as a packed corpus; the kind of each row is its domain."""

    world: AbilitiesWorld = AbilitiesWorld()
    rows: int = Field(ge=1)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Sample and save."""
        packed_world(*self.world.sample(self.rows, self.seed)).save(folder)
