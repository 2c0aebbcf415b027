"""Perplexity of documents, per word, per byte and in bits, from the items of a perplexity task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from imprint.errors import InputError
from imprint.stats import Effect

_DRAWS = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Perplexity:
    """exp(-log-likelihood / units) over a corpus; lower is better. `bits_per_byte` = log2 of the byte perplexity."""

    word: Effect
    byte: Effect
    bits_per_byte: Effect


def perplexity(frame: pl.DataFrame, *, seed: int = 0) -> Perplexity:
    """Perplexities of the documents in a frame of items; intervals are bootstrap over documents.

    Words and bytes are counted in the text before detokenisation, as lm-eval's wikitext task counts them.

    Raises:
        InputError: the frame has fewer than 2 documents.

    Trust: an interval over few documents is rough, and one over many from a single book is too narrow.
    """
    documents = frame.drop_nulls(["words", "bytes"])
    if len(documents) < 2:
        raise InputError(f"Perplexity needs at least 2 documents and the items hold {len(documents)}; raise --limit.")
    nats = -documents["log_prob"].to_numpy()
    drawn = np.random.default_rng(seed).integers(0, len(nats), (_DRAWS, len(nats)))
    rates = {name: _rate(nats, documents[name].to_numpy().astype(np.float64), drawn) for name in ("words", "bytes")}
    return Perplexity(
        word=_effect("word_perplexity", np.exp(rates["words"]), len(nats)),
        byte=_effect("byte_perplexity", np.exp(rates["bytes"]), len(nats)),
        bits_per_byte=_effect("bits_per_byte", rates["bytes"] / np.log(2.0), len(nats)),
    )


def _rate(nats: np.ndarray, units: np.ndarray, drawn: np.ndarray) -> Float[np.ndarray, " draw"]:
    """Nats a unit: of the documents themselves first, then of each resample."""
    whole = nats.sum() / units.sum()
    return np.concatenate([[whole], nats[drawn].sum(1) / units[drawn].sum(1)])


def _effect(metric: str, values: np.ndarray, count: int) -> Effect:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    estimate = float(values[0])
    return Effect(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        n=count,
        unit="document",
        control="a certain prediction, perplexity 1",
        metric=metric,
    )


def as_numbers(found: Perplexity) -> Mapping[str, float]:
    """The three estimates by name."""
    return {effect.metric: effect.estimate for effect in (found.word, found.byte, found.bits_per_byte)}
