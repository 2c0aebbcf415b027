"""What a slot or a constant is made of: characters for documents, ids for token rows; both are lists of integers."""

import datetime
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Protocol, runtime_checkable

from imprint.corpus.augmentation.parts import Slot
from imprint.corpus.structure import LEXEME
from imprint.runs import derive

Symbols = list[int]
_CONSONANTS, _VOWELS = "bcdfghjklmnpqrstvwz", "aeiou"
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))
_EPOCH = datetime.datetime(2000, 1, 1)
_BASE64 = string.ascii_letters + string.digits + "+/"


@runtime_checkable
class Alphabet(Protocol):
    """Turns what the grammar says into symbols."""

    def constant(self, text: str) -> Symbols:
        """The same symbols whenever the same text is asked for."""

    def slot(self, slot: Slot, rng: Random) -> Symbols:
        """A fresh value."""


class Characters:
    """Symbols are code points."""

    def constant(self, text: str) -> Symbols:
        """The code points of the text."""
        return [ord(character) for character in text]

    def slot(self, slot: Slot, rng: Random) -> Symbols:
        """A value that looks like its type."""
        return [ord(character) for character in draw_text(slot, rng)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Symbols are ids in [first, first + vocabulary).

    A lexical token of a constant has one id, the same in every document. A slot draws uniform ids: one for a word,
    an identifier, an integer, an address, a time; one for each character of hex, base64 and characters.
    """

    vocabulary: int
    first: int = 0
    seed: int = 0
    _known: dict[str, int] = field(default_factory=dict)

    def constant(self, text: str) -> Symbols:
        """One id for each lexical token."""
        return [self._id(token) for token in LEXEME.findall(text)]

    def slot(self, slot: Slot, rng: Random) -> Symbols:
        """Uniform ids, or the constant ids of an entry of the pool."""
        if slot.of == "pool":
            return self.constant(_pick(slot, rng))
        by_character = slot.of in ("hex", "base64", "characters")
        count = rng.randint(*slot.length) if by_character else 1
        return [self.first + rng.randrange(self.vocabulary) for _ in range(count)]

    def _id(self, token: str) -> int:
        if token not in self._known:
            self._known[token] = self.first + derive(self.seed, "token", token) % self.vocabulary
        return self._known[token]


def draw_text(slot: Slot, rng: Random) -> str:
    """A value of the slot's type as text."""
    if slot.of == "pool":
        return _pick(slot, rng)
    return _DRAWS[slot.of](slot, rng)


def _pick(slot: Slot, rng: Random) -> str:
    return slot.pool[pick(len(slot.pool), slot.weights, rng)]


def pick(options: int, weights: tuple[float, ...], rng: Random) -> int:
    """Index of one of the options, in proportion to the weights (none: equal)."""
    if not weights:
        return rng.randrange(options)
    return rng.choices(range(options), cum_weights=list(accumulate(weights)))[0]


def _word(slot: Slot, rng: Random) -> str:
    length = rng.randint(*slot.length)
    first = rng.random() < 0.7
    return "".join(rng.choice(_CONSONANTS if (place % 2 == 0) == first else _VOWELS) for place in range(length))


def _identifier(slot: Slot, rng: Random) -> str:
    letters = rng.choices(string.ascii_letters + string.digits + "_", k=rng.randint(*slot.length))
    return "".join(rng.choice(string.ascii_letters) if place == 0 else one for place, one in enumerate(letters))


def _integer(slot: Slot, rng: Random) -> str:
    digits = rng.choices(string.digits, k=rng.randint(*slot.length))
    return "".join(rng.choice("123456789") if place == 0 and len(digits) > 1 else d for place, d in enumerate(digits))


def _of(letters: str) -> Callable[[Slot, Random], str]:
    return lambda slot, rng: "".join(rng.choices(letters, k=rng.randint(*slot.length)))


def _uuid(slot: Slot, rng: Random) -> str:
    digits = "".join(rng.choices("0123456789abcdef", k=32))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _timestamp(slot: Slot, rng: Random) -> str:
    return (_EPOCH + datetime.timedelta(seconds=rng.randrange(30 * 365 * 86_400))).isoformat(sep=" ")


def _ip(slot: Slot, rng: Random) -> str:
    return ".".join(str(rng.randrange(256)) for _ in range(4))


def _characters(slot: Slot, rng: Random) -> str:
    return "".join(rng.choices(slot.alphabet or _PRINTABLE, k=rng.randint(*slot.length)))


_DRAWS: dict[str, Callable[[Slot, Random], str]] = {
    "word": _word,
    "identifier": _identifier,
    "integer": _integer,
    "hex": _of("0123456789abcdef"),
    "base64": _of(_BASE64),
    "uuid": _uuid,
    "timestamp": _timestamp,
    "ip": _ip,
    "characters": _characters,
}
