"""Topic coherence: normalised pointwise mutual information of a cluster's top words over documents."""

import numpy as np
from jaxtyping import Bool, Float

from imprint.errors import CorpusError
from imprint.stats import Effect
from imprint.stats.effects import Unit


def npmi(presence: Bool[np.ndarray, "document word"]) -> Float[np.ndarray, "word word"]:
    """NPMI of every pair of words from their co-occurrence in documents, in [-1, 1] (Bouma 2009).

    NPMI(v, w) = log[p(v, w) / (p(v) p(w))] / -log p(v, w), with p the share of documents. -1: never in one document;
    0: independent; 1: only ever together. A word that is in every document, or in none, says nothing: 0.
    """
    together = presence.T.astype(np.float64) @ presence.astype(np.float64)
    return _npmi(together, np.array(float(len(presence))))


def topic_coherence(
    presence: Bool[np.ndarray, "document word"], *, seed: int, draws: int = 500, level: float = 0.95
) -> Effect:
    """Mean NPMI over all pairs of a topic's top words (Röder et al. 2015, C_NPMI on documents), bootstrapped over documents.

    `presence[d, w]`: whether reference document d holds top word w.

    Raises:
        CorpusError: fewer than 2 words or 2 documents.

    Trust: words of one field score high whether or not a person would name them as a topic, and in long documents all
    words meet; rate a sample by hand as well (see the validation sheet).
    """
    documents, words = presence.shape
    if words < 2 or documents < 2:
        raise CorpusError(f"coherence needs 2 words and 2 documents, not {words} and {documents}; add documents")
    pairs = np.triu_indices(words, 1)
    estimate = float(npmi(presence)[pairs].mean())
    drawn = _bootstrap(presence, np.random.default_rng(seed), draws)
    low, high = np.quantile(drawn[:, pairs[0], pairs[1]].mean(axis=1), [0.5 - level / 2, 0.5 + level / 2])
    return Effect(
        estimate=estimate,
        low=min(float(low), estimate),
        high=max(float(high), estimate),
        n=documents,
        unit=_UNIT,
        control="0: words that occur independently",
        metric="npmi",
        level=level,
    )


_UNIT: Unit = "document"


def _bootstrap(
    presence: Bool[np.ndarray, "document word"], generator: np.random.Generator, draws: int
) -> Float[np.ndarray, "draw word word"]:
    """NPMI of `draws` resamples: documents with the same words are one kind, so a draw costs as many kinds as there are."""
    kinds, times = np.unique(presence, axis=0, return_counts=True)
    weights = generator.multinomial(len(presence), times / len(presence), size=draws).astype(np.float64)
    flat = (kinds[:, :, None] & kinds[:, None, :]).reshape(len(kinds), -1).astype(np.float64)
    together = (weights @ flat).reshape(draws, *(presence.shape[1],) * 2)
    return _npmi(together, np.full((draws, 1, 1), float(len(presence))))


def _npmi(
    together: Float[np.ndarray, "*batch word word"], documents: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "*batch word word"]:
    joint = together / documents
    single = np.diagonal(joint, axis1=-2, axis2=-1)
    expected = single[..., :, None] * single[..., None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(joint / expected) / -np.log(joint)
    value = np.where(joint == 0, -1.0, value)
    idle = (single == 0) | (single == 1)
    return np.where(idle[..., :, None] | idle[..., None, :], 0.0, value)
