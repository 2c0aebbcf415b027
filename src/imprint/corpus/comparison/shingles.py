"""A text as the set of its runs of words, hashed: what near-duplicates and overlaps are counted in."""

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from jaxtyping import UInt64

_WORD = re.compile(r"\w+")


def normalised_words(text: str) -> list[str]:
    """Words after Unicode NFKC and case folding, without marks; a text of marks only is one word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(folded) or ["".join(folded.split())]


def normalised(text: str) -> str:
    """The normalised words with one space between two: equal for texts that differ in case, marks and spaces only."""
    return " ".join(normalised_words(text))


def shingle_hashes(words: list[str], size: int) -> UInt64[np.ndarray, "position"]:
    """64-bit hash of the `size` words from each position on; a shorter text is one shingle."""
    codes = np.array([_code(word) for word in words], dtype=np.uint64)
    length = min(size, len(codes))
    mixed = np.full(len(codes) - length + 1, length, dtype=np.uint64)
    for shift in range(length):
        mixed = scrambled(mixed + codes[shift : len(codes) - length + 1 + shift])
    return mixed


def scrambled(values: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of the result depends on every bit given."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


@lru_cache(maxsize=1 << 18)
def _code(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
