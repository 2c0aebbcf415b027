"""What each cluster of tokens consists of: which tokens, from how many documents, of which domains; and tokens in context."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Integer

from imprint.corpus.clusters.annotation_sheet import Excerpt
from imprint.corpus.clusters.clustering import Clustering
from imprint.corpus.clusters.distinctive import DistinctiveWord, log_odds
from imprint.corpus.clusters.ratios import ratio
from imprint.corpus.documents import Corpus
from imprint.corpus.packing import Packed
from imprint.errors import ConfigError
from imprint.stats import Effect

TOKEN_MARKS = ("⟦", "⟧")
"""What stands before and after the token that an excerpt is about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenClusterCharacter:
    """What one cluster of tokens consists of."""

    name: str
    tokens: int
    share: float
    """Part of all clustered tokens, noise included."""
    documents: int
    """Documents with at least one of its tokens."""
    domains: dict[str, float]
    """Share of its tokens by domain, largest first."""
    of_documents: Effect | None
    """Share of a document's tokens that lie in this cluster (interval over documents)."""
    distinctive: tuple[DistinctiveWord, ...]
    """Tokens with the highest log-odds against all other tokens, noise included."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        return asdict(self)


def characterise_tokens(
    clustering: Clustering,
    *,
    token_id: Integer[np.ndarray, "n"],
    document: Integer[np.ndarray, "n"],
    domains: Sequence[str],
    spell: Callable[[int], str],
    top: int = 20,
) -> tuple[TokenClusterCharacter, ...]:
    """One record a cluster; `document` numbers the documents that `domains` (one each) names, `spell` writes a token.

    Raises:
        ConfigError: ids or documents that are not one per label.

    Trust: token types tell clusters of frequent tokens ("the", newline) from clusters of context only in part; look at
    tokens in their context as well (the validation sheet).
    """
    if not len(clustering) == len(token_id) == len(document):
        raise ConfigError(
            f"{len(token_id)} token ids and {len(document)} documents do not fit {len(clustering)} labels"
        )
    totals = np.bincount(token_id)
    lengths = np.bincount(document, minlength=len(domains)).astype(np.float64)
    return tuple(
        _describe(clustering, number, token_id, document, domains, spell, top, totals, lengths)
        for number in range(clustering.num_clusters)
    )


def token_excerpts(
    corpus: Corpus,
    packed: Packed,
    *,
    row: Integer[np.ndarray, "n"],
    position: Integer[np.ndarray, "n"],
    characters: int = 200,
) -> Excerpt:
    """For a clustering of tokens: each token marked ⟦so⟧ amid up to `characters` before and after it."""
    texts = {document.id: document.text for document in corpus}
    before, after = TOKEN_MARKS

    def excerpt(place: int) -> str:
        at = int(row[place])
        text = texts[packed.document_ids[packed.document[at]]]
        start, end = (int(offset) for offset in packed.offsets[at, position[place]])
        left, right = text[max(0, start - characters) : start], text[end : end + characters]
        return f"{left}{before}{text[start:end]}{after}{right}"

    return excerpt


def _describe(
    clustering: Clustering,
    number: int,
    token_id: Integer[np.ndarray, "n"],
    document: Integer[np.ndarray, "n"],
    domains: Sequence[str],
    spell: Callable[[int], str],
    top: int,
    totals: Int[np.ndarray, "token_type"],
    lengths: np.ndarray,
) -> TokenClusterCharacter:
    members = clustering.members(number)
    counts = np.bincount(token_id[members], minlength=len(totals))
    each = np.bincount(document[members], minlength=len(domains)).astype(np.float64)
    return TokenClusterCharacter(
        name=clustering.names[number],
        tokens=len(members),
        share=clustering.share(number),
        documents=int((each > 0).sum()),
        domains=_mix(each, domains),
        of_documents=ratio(each, lengths, metric="share of tokens"),
        distinctive=_distinctive(counts, totals, spell, top),
    )


def _mix(each: np.ndarray, domains: Sequence[str]) -> dict[str, float]:
    names, owner = np.unique(np.array(domains), return_inverse=True)
    shares = np.bincount(owner, weights=each) / max(each.sum(), 1.0)
    return {
        str(names[place]): float(shares[place]) for place in np.argsort(-shares, kind="stable") if shares[place] > 0
    }


def _distinctive(
    counts: Int[np.ndarray, "token_type"], totals: Int[np.ndarray, "token_type"], spell: Callable[[int], str], top: int
) -> tuple[DistinctiveWord, ...]:
    delta, z = log_odds(counts, totals - counts)
    chosen = [int(place) for place in np.argsort(-z, kind="stable")[:top] if z[place] > 0]
    return tuple(
        DistinctiveWord(word=spell(place), log_odds=float(delta[place]), z=float(z[place]), count=int(counts[place]))
        for place in chosen
    )
