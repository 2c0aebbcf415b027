"""Syntactic complexity of a text by stated stand-ins: sentence length, subordinate clauses, nesting, indentation."""

import re
import string
from collections.abc import Sequence

import numpy as np

from imprint.corpus.clusters.words import SUBORDINATORS, num_sentences

_INDENT = re.compile(r"^[ \t]*+(?=\S)", re.MULTILINE)
_TAB = " " * 4
_OPEN = np.array([ord(mark) for mark in "([{"], dtype=np.uint32)
_CLOSE = np.array([ord(mark) for mark in ")]}"], dtype=np.uint32)
_PUNCTUATION = string.punctuation + "‘’“”–—…"


def syntax_counts(text: str, words: Sequence[str]) -> dict[str, int]:
    """What the syntactic measures divide: sentences, subordinators, depth over characters, columns of indentation.

    * mean sentence length = words / sentences
    * clauses a sentence = (sentences + subordinators) / sentences
    * bracket depth = mean over characters of how many ( [ { are open there; a closing mark without partner is ignored
    * indentation = columns of leading white space a non-blank line (a tab is 4)
    * punctuation = punctuation marks / characters that are not white space

    Trust: no parser is behind this. A relative clause without "who" or "that" is missed, and "that" may be a pronoun.
    """
    lines = _INDENT.findall(text)
    blank = sum(map(text.count, string.whitespace))
    return {
        "sentences": num_sentences(text),
        "subordinators": sum(word in SUBORDINATORS for word in words),
        "depth": int(bracket_depths(text).sum()),
        "lines": len(lines),
        "indent": sum(len(line.replace("\t", _TAB)) for line in lines),
        "punctuation": sum(map(text.count, _PUNCTUATION)),
        "visible": len(text) - blank,
    }


def bracket_depths(text: str) -> np.ndarray:
    """At every character, how many brackets are open (itself included when it opens one), shape (character,)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    steps = np.isin(codes, _OPEN).astype(np.int64) - np.isin(codes, _CLOSE)
    level = np.cumsum(steps)
    return level - np.minimum.accumulate(np.minimum(level, 0)) if len(level) else level
