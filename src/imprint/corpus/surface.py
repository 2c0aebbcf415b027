"""Cheap statistics of text and tokens: the baselines that any attribution score has to beat."""

import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from imprint.errors import ConfigError


def repeated_ngram_rate(
    tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], n: int
) -> Float[np.ndarray, "row"]:
    """Fraction of each row's n-grams that occurred before in the same row; 0 for a row without an n-gram.

    Only the first `lengths` tokens count (for a `Packed`, pass `tokens[:, 1:]`: BOS is not text).

    Trust: cannot tell novel repeats from boilerplate (METHODS §2.5b: AUC .42); see `novel_repetition_rate`.
    """
    codes, leads = _grouped(tokens, lengths, n)
    return _rate((~leads & (codes >= 0)).sum(axis=1), _ngrams(lengths, n))


def novel_repetition_rate(
    tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], n: int
) -> Float[np.ndarray, "row"]:
    """Fraction of each row's n-grams that occurred before in that row and occur in no other row.

    Trust: depends on which rows are passed together; a document cut into several rows takes novelty from itself.
    """
    codes, leads = _grouped(tokens, lengths, n)
    distinct, rows_with = np.unique(codes[leads], return_counts=True)
    again = ~leads & (codes >= 0)
    alone = rows_with[np.searchsorted(distinct, codes[again])] == 1
    novel = np.bincount(np.nonzero(again)[0][alone], minlength=len(codes))
    return _rate(novel, _ngrams(lengths, n))


def unigram_entropy(tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
    """Entropy of each row's own token frequencies, in bits; 0 for an empty row.

    Trust: at most log2(length), so compare rows of similar length.
    """
    codes, leads = _grouped(tokens, lengths, 1)
    first = np.flatnonzero(leads)
    counts = np.diff(first, append=codes.size)
    real = codes.ravel()[first] >= 0
    owner = first[real] // max(codes.shape[1], 1)
    share = counts[real] / lengths[owner]
    return np.bincount(owner, weights=-share * np.log2(share), minlength=len(codes)).astype(np.float64)


def compression_ratio(texts: Sequence[str]) -> Float[np.ndarray, "doc"]:
    """Bytes after zlib (level 9) over bytes before, for each text: small for repetitive text, above 1 for short noise.

    Trust: a fixed overhead of about 11 bytes lifts short texts; compare texts of similar length.
    """
    raw = [text.encode("utf-8") for text in texts]
    return np.array([len(zlib.compress(one, 9)) / max(len(one), 1) for one in raw], dtype=np.float64)


def _grouped(
    tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], n: int
) -> tuple[Int[np.ndarray, "row ngram"], Bool[np.ndarray, "row ngram"]]:
    """Codes of each row's n-grams in ascending order, and True at the first of each run of equal ones."""
    codes = np.sort(_codes(tokens, lengths, n), axis=1)
    leads = np.ones(codes.shape, dtype=bool)
    leads[:, 1:] = codes[:, 1:] != codes[:, :-1]
    return codes, leads


def _codes(tokens: Int[np.ndarray, "row seq"], lengths: Int[np.ndarray, "row"], n: int) -> Int[np.ndarray, "row ngram"]:
    """One integer for each n-gram, equal iff the n-grams are; negative and unique where it runs past the length."""
    if n < 1:
        raise ConfigError(f"an n-gram has at least one token, not {n}.")
    if tokens.size and tokens.min() < 0:
        raise ConfigError(f"token ids are 0 or more, not {tokens.min()}; mask padding by lengths, not by an id.")
    width = max(tokens.shape[1] - n + 1, 0)
    base = int(tokens.max(initial=0)) + 1
    codes, largest = np.zeros((len(tokens), width), dtype=np.int64), 1
    for shift in range(n):
        if largest * base >= 2**62:  # rename the codes so far to small numbers before they overflow
            distinct, codes = np.unique(codes, return_inverse=True)
            largest = len(distinct)
        codes, largest = codes * base + tokens[:, shift : shift + width], largest * base
    beyond = np.arange(width)[None, :] >= _ngrams(lengths, n)[:, None]
    return np.where(beyond, -1 - np.arange(codes.size).reshape(codes.shape), codes)


def _ngrams(lengths: Int[np.ndarray, "row"], n: int) -> Int[np.ndarray, "row"]:
    return np.asarray(np.maximum(lengths - n + 1, 0))


def _rate(part: Int[np.ndarray, "row"], whole: Int[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
    return np.asarray(part / np.maximum(whole, 1))
