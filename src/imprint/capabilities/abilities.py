"""Held-out items of the four planted abilities: one question a row, with the answers that it can have.

No question can be answered by looking it up in its own row: the sum and the fact asked for do not occur earlier in it, the
bracket asked for is not the one that was opened last, and copied segments are new. Chance is one over the answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float64, Int
from torch import Tensor
from transformers import PreTrainedModel

from imprint.corpus import ABILITIES, AbilitiesWorld, Ability, nested_brackets, statements, sums
from imprint.corpus.abilities import (
    BOS,
    BRACKETS,
    CLOSE,
    MODULUS,
    OBJECTS,
    RELATIONS,
    SUBJECTS,
    SYMBOLS,
)
from imprint.errors import ConfigError
from imprint.models import evaluating
from imprint.runs import derive

_BATCH = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class AbilityItems:
    """Questions of one ability: the model reads `tokens` up to and with position `query` and must name `gold` next."""

    ability: Ability
    tokens: Int[Tensor, "item seq"]
    query: Int[Tensor, "item"]
    gold: Int[Tensor, "item"]
    options: tuple[int, ...]
    """Every answer that a question of this ability can have; accuracy is counted among them."""

    @property
    def chance(self) -> float:
        """Accuracy of guessing uniformly among the options."""
        return 1.0 / len(self.options)

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.gold)


def ability_items(
    ability: Ability, *, count: int = 200, seed: int = 0, world: AbilitiesWorld | None = None
) -> AbilityItems:
    """`count` questions of one ability; the same seed gives the same questions.

    Raises:
        ConfigError: fewer than 1 question is asked for, or `seed` is negative.

    Trust: fact recall is memory, so its facts occur in training; the other three abilities are asked about new rows.
    """
    if count < 1 or seed < 0:
        raise ConfigError(f"{count} questions with seed {seed} were asked for; ask for 1 or more, with seed 0 or more.")
    world = world or AbilitiesWorld()
    rng = np.random.default_rng(derive(seed, "ability items", ability))
    rows, query = _QUESTIONS[ability](world, count, rng)
    tokens = np.concatenate([np.full((count, 1), BOS), rows], axis=1)
    return AbilityItems(
        ability=ability,
        tokens=torch.from_numpy(tokens[:, : world.context]),
        query=torch.from_numpy(query),
        gold=torch.from_numpy(tokens[np.arange(count), query + 1]),
        options=_OPTIONS[ability],
    )


def _copying(world: AbilitiesWorld, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random segment twice; the question lies in its second half, two tokens in or later."""
    periods = rng.integers(world.context // 4, world.context // 2 + 1, size=count)
    segments = np.argsort(rng.random((count, SYMBOLS)), axis=1)
    rows = np.take_along_axis(segments, np.arange(world.context)[None, :] % periods[:, None], axis=1)
    return rows, periods + rng.integers(2, periods)


def _sums(world: AbilitiesWorld, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As many sums as fit; the last one is asked, and occurs neither as a + b nor as b + a before."""
    many = world.context // 4
    terms = np.stack([_last_is_new(rng, _all_pairs(MODULUS, MODULUS), many, symmetric=True) for _ in range(count)])
    return sums(terms), np.full(count, 4 * many - 2)


def _recall(world: AbilitiesWorld, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As many facts as fit; the last one is asked and does not occur before."""
    many = world.context // 4
    asked = np.stack([_last_is_new(rng, _all_pairs(SUBJECTS, RELATIONS), many) for _ in range(count)])
    return statements(world, asked), np.full(count, 4 * many - 2)


def _all_pairs(first: int, second: int) -> Int[np.ndarray, "pair 2"]:
    return np.stack(np.meshgrid(np.arange(first), np.arange(second), indexing="ij"), axis=-1).reshape(-1, 2)


def _last_is_new(
    rng: np.random.Generator, pairs: Int[np.ndarray, "pair 2"], many: int, *, symmetric: bool = False
) -> Int[np.ndarray, "many 2"]:
    last = pairs[rng.integers(len(pairs))]
    same = (pairs == last).all(1) | (symmetric & (pairs == last[::-1]).all(1))
    others = pairs[~same]
    return np.concatenate([others[rng.integers(len(others), size=many - 1)], last[None]])


def _brackets(world: AbilitiesWorld, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A row of brackets; asked is a bracket that is closed right after another one was, in the second half of the row."""
    rows, places = nested_brackets(rng, rows=4 * count, length=world.context), []
    for row in rows:
        closing = (row >= CLOSE) & (row < CLOSE + BRACKETS)
        found = np.flatnonzero(closing[1:] & closing[:-1]) + 1
        found = found[found >= world.context // 2]
        places.append(int(rng.choice(found)) if len(found) else -1)
    query = np.array(places)
    kept = np.flatnonzero(query >= 0)[:count]
    return rows[kept], query[kept]  # the BOS moves rows by one, so the token before place p is at p


_QUESTIONS = {"copy": _copying, "sums": _sums, "brackets": _brackets, "recall": _recall}
_OPTIONS: dict[Ability, tuple[int, ...]] = {
    "copy": tuple(range(SYMBOLS)),
    "sums": tuple(range(MODULUS)),
    "brackets": tuple(range(CLOSE, CLOSE + BRACKETS)),
    "recall": tuple(range(*OBJECTS)),
}


@torch.no_grad()
def ability_answers(model: PreTrainedModel, items: AbilityItems) -> pl.DataFrame:
    """One row an item, in the columns of `items` that apply; predictions are token ids as text.

    `correct` is 1 where the most probable of the options is the gold answer, `log_prob` is the gold answer's in nats among
    all tokens, `confidence` the probability of the named answer among the options.
    """
    with evaluating(model):
        logits = torch.cat([_at_query(model, items, start) for start in range(0, len(items), _BATCH)]).double()
    options = torch.tensor(items.options)
    among = logits[:, options].softmax(-1)
    named = options[among.argmax(-1)]
    return pl.DataFrame(
        {
            "suite": ["abilities"] * len(items),
            "task": [items.ability] * len(items),
            "item": np.arange(len(items)),
            "correct": (named == items.gold).double().numpy(),
            "log_prob": logits.log_softmax(-1).gather(-1, items.gold[:, None])[:, 0].numpy(),
            "confidence": among.amax(-1).numpy(),
            "prediction": [str(int(token)) for token in named],
            "gold": [str(int(token)) for token in items.gold],
            "chance": [items.chance] * len(items),
        }
    )


def _at_query(model: PreTrainedModel, items: AbilityItems, start: int) -> Tensor:
    part = slice(start, start + _BATCH)
    logits: Tensor = model(items.tokens[part].to(model.device), use_cache=False).logits
    return logits[torch.arange(len(logits)), items.query[part]].cpu()


def ability_panel(*, count: int = 200, seed: int = 0, world: AbilitiesWorld | None = None) -> list[AbilityItems]:
    """The questions of all four abilities, in the order of `ABILITIES`."""
    return [ability_items(ability, count=count, seed=seed, world=world) for ability in ABILITIES]


def ability_accuracies(model: PreTrainedModel, panel: Sequence[AbilityItems]) -> Float64[np.ndarray, "ability"]:
    """The share of right answers for each ability of a panel."""
    return np.array([ability_answers(model, items)["correct"].to_numpy().mean() for items in panel])
