"""Which (token, next token) pairs of days, months, numbers and letters a tokenizer has as single tokens."""

import string
from collections.abc import Sequence
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from imprint.errors import ConfigError

LEAST_PAIRS = 8
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBERS = tuple(str(number) for number in range(101))
_CYCLES: tuple[Sequence[str], ...] = (DAYS, MONTHS)
_LINES: tuple[Sequence[str], ...] = (NUMBERS, NUMBER_WORDS, string.ascii_uppercase, string.ascii_lowercase)


def successor_pairs(tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, int]]:
    """The (token, next token) pairs of days, months, numbers and letters, with and without a space before.

    Days and months go round. A pair counts where both words are one token each; no token is the first of two pairs.

    Raises:
        ConfigError: fewer than 8 pairs.
    """
    pairs: dict[int, int] = {}
    for space in ("", " "):
        for words in (*_LINES, *((*cycle, cycle[0]) for cycle in _CYCLES)):
            tokens = [_single(tokenizer, space + word) for word in words]
            for token, following in pairwise(tokens):
                if token is not None and following is not None:
                    pairs.setdefault(token, following)
    if len(pairs) < LEAST_PAIRS:
        raise ConfigError(
            f"the tokenizer has {len(pairs)} successor pairs (days, months, numbers, letters as single tokens) and a"
            f" successor score needs at least {LEAST_PAIRS}; leave the mechanism out or give successor_probe your own pairs"
        )
    return list(pairs.items())


def _single(tokenizer: PreTrainedTokenizerBase, text: str) -> int | None:
    """The token of a text that is one token, and not the unknown one."""
    tokens = tokenizer.encode(text, add_special_tokens=False)
    return int(tokens[0]) if len(tokens) == 1 and tokens[0] != tokenizer.unk_token_id else None
