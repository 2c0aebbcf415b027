"""The words that set a cluster apart: log-odds with an informative Dirichlet prior, and the entropy of its words."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from imprint.corpus.clusters.ratios import ratio
from imprint.corpus.clusters.terms import DocumentTerms
from imprint.errors import ConfigError
from imprint.stats import Effect
from imprint.stats.effects import Unit

PRIOR_WORDS = 1000.0
"""Weight of the prior: it counts as so many words drawn from all clusters together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctiveWord:
    """A word that one cluster uses more (positive) or less (negative) than all others together."""

    word: str
    log_odds: float
    """Difference of the log-odds, in nats."""
    z: float
    """The difference in units of its standard error."""
    count: int
    """How often the cluster (its sample) has the word."""


def log_odds(
    inside: Int[np.ndarray, "word"], outside: Int[np.ndarray, "word"], *, prior_words: float = PRIOR_WORDS
) -> tuple[Float[np.ndarray, "word"], Float[np.ndarray, "word"]]:
    """Log-odds of each word inside against outside, in nats, and the same in standard errors (z).

    With y the counts, n their sums, a_w = prior_words * (y_in + y_out)_w / (n_in + n_out) and a_0 = prior_words
    (Monroe, Colaresi & Quinn 2008, eqs. 15-22)::

        delta_w = log[(y_in + a_w) / (n_in + a_0 - y_in - a_w)] - log[(y_out + a_w) / (n_out + a_0 - y_out - a_w)]
        var_w   = 1 / (y_in + a_w) + 1 / (y_out + a_w)

    A word that occurs nowhere gets 0. Positive: the word is used more inside.

    Raises:
        ConfigError: `prior_words` is not positive.

    Trust: words are taken as independent, but they come in bursts, so z orders words; it is no test.
    """
    if not prior_words > 0:
        raise ConfigError(f"a prior of {prior_words} words has no weight: give a positive number, such as 1000")
    together = (inside + outside).astype(np.float64)
    prior = prior_words * together / max(together.sum(), 1.0)
    used = together > 0
    delta, z = np.zeros(len(together)), np.zeros(len(together))
    y_in, y_out = inside[used] + prior[used], outside[used] + prior[used]
    rest_in, rest_out = inside.sum() + prior_words - y_in, outside.sum() + prior_words - y_out
    rest_in, rest_out = np.maximum(rest_in, 1e-9), np.maximum(rest_out, 1e-9)  # a vocabulary of one word leaves nothing
    delta[used] = np.log(y_in / rest_in) - np.log(y_out / rest_out)
    z[used] = delta[used] / np.sqrt(1 / y_in + 1 / y_out)
    return delta, z


def distinctive_words(
    terms: DocumentTerms, inside: Int[np.ndarray, "member"], *, top: int = 20, min_documents: int = 2
) -> tuple[DistinctiveWord, ...]:
    """The `top` words of the rows `inside` with the highest z against all other rows, highest first.

    Only words with a positive z in at least `min_documents` of the rows count (in 1 where there is just one row), so
    that no single document names its cluster.
    """
    rows = terms.counts[inside]
    counts = np.asarray(rows.sum(axis=0)).ravel().astype(np.int64)
    spread = np.bincount(rows.indices, minlength=len(terms.words))
    delta, z = log_odds(counts, terms.totals - counts)
    usable = (spread >= min(min_documents, len(inside))) & (z > 0)
    ranked = [column for column in np.argsort(-z, kind="stable") if usable[column]][:top]
    return tuple(
        DistinctiveWord(
            word=terms.words[column], log_odds=float(delta[column]), z=float(z[column]), count=int(counts[column])
        )
        for column in ranked
    )


def word_entropy(
    terms: DocumentTerms, inside: Int[np.ndarray, "member"], *, unit: Unit = "document", note: str = ""
) -> Effect | None:
    """Entropy of the words of these rows in bits a word, -sum p log2 p, with an interval over documents.

    The interval is that of the mean of -log2 p(word) over words, linearised over documents.

    Trust: too low by about (distinct words) / (2 ln 2 * words) bits (Miller 1955), so compare samples of like size.
    """
    rows = terms.counts[inside]
    counts = np.asarray(rows.sum(axis=0)).ravel().astype(np.float64)
    share = counts / max(counts.sum(), 1.0)
    surprise = -np.log2(share, out=np.zeros_like(share), where=share > 0)
    lengths = np.asarray(rows.sum(axis=1)).ravel().astype(np.float64)
    bits = np.asarray(rows.astype(np.float64) @ surprise).ravel()
    return ratio(bits, lengths, unit=unit, metric="word_entropy", note=note)
