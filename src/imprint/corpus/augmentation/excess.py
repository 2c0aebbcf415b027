"""Repetition beyond vocabulary: what a text copies more than its own tokens would in random order."""

from random import Random

import numpy as np

from imprint.corpus.augmentation.repetition import copied_share
from imprint.corpus.structure import LEXEME
from imprint.runs import derive

_LONG = 12
_PIECE = 4


def excess_copies(text: str, *, seed: int = 0, shuffles: int = 3) -> float:
    """Share of the characters in copies, minus its mean over random orders of the text's own tokens.

    White space stays where it is, and tokens of more than 12 characters (a UUID, a hash) are shuffled in pieces of 4:
    that a long token comes back is structure, that a short word does is vocabulary.

    Trust: on words in random order it is 0 with a standard deviation near 0.02, whatever their frequencies; on 1 500
    characters of novels, reviews or speeches it is 0.05 to 0.1, of code or LaTeX 0.2, of HTML 0.3, of logs 0.6.
    """
    rng = Random(derive(seed, "shuffled tokens"))
    pieces = [piece for token in LEXEME.findall(text) for piece in _pieces(token)]
    null = [copied_share(_shuffled(pieces, rng)) for _ in range(shuffles)]
    return copied_share(text) - float(np.mean(null))


def _pieces(token: str) -> list[str]:
    if len(token) <= _LONG or token.isspace():
        return [token]
    return [token[place : place + _PIECE] for place in range(0, len(token), _PIECE)]


def _shuffled(pieces: list[str], rng: Random) -> str:
    solid = [piece for piece in pieces if not piece.isspace()]
    rng.shuffle(solid)
    drawn = iter(solid)
    return "".join(piece if piece.isspace() else next(drawn) for piece in pieces)
