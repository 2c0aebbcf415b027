"""What the high-influence documents are: structure features against matched controls, and the domains they come from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from imprint.corpus import Packed
from imprint.corpus.structure import structure
from imprint.errors import InputError
from imprint.stats import (
    CategoryEnrichment,
    Effect,
    MatchedComparison,
    category_enrichment,
    feature_differences,
    joint_strata,
    mass_enrichment,
    quantile_bins,
)
from imprint.stats.samples import top_count

EVERYTHING = "all documents"
NATURAL = "natural documents"
OTHERS = "all other documents"
SAME_DOMAIN = "same domain"
SAME_LOSS = "same loss"
SAME_ALL = "same domain, loss and length"
"""The strictest matching: domain, decile of the loss and decile of the length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolCharacter:
    """The top documents of one pool beside the rest of it."""

    pool: str
    """"all documents", or "natural documents": the planted domains left out, and the top taken among what remains."""
    documents: int
    top: int
    """How many of them are the top fraction."""
    comparisons: tuple[MatchedComparison, ...]
    """One for each matching, from all others to the strictest; q runs over all of them."""
    domains: tuple[CategoryEnrichment, ...]
    """Each domain's share among the top over its share of the pool."""
    influence: dict[str, Effect]
    """Each domain's share of the positive influence over its share of the pool; empty where no influence is positive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """What the top `fraction` of the documents by influence are; associations only (rung 0)."""

    fraction: float
    pools: tuple[PoolCharacter, ...]


def characterise(
    packed: Packed,
    texts: Mapping[str, str],
    order: Int[np.ndarray, "row"],
    *,
    losses: Float[np.ndarray, "row"],
    influence: Float[np.ndarray, "row"],
    fraction: float,
    planted: Collection[str] = (),
    seed: int = 0,
    draws: int = 2000,
) -> Character:
    """The structure of the top `fraction` of `order` (row indices, highest-ranked first) and of their domains.

    `texts` gives the text of every document id; a row's text is what its tokens cover. A document here is a row. Where
    a `planted` domain is among the rows, the natural rows are characterised once more on their own.

    Raises:
        InputError: `order` does not name every row once, or a row has no text.

    Trust: rows cut from one document are alike, so intervals and p are too small where they are many. Deciles of loss
    and length leave what differs within a decile. What no feature expresses is not matched and not seen.
    """
    if not np.array_equal(np.sort(order), np.arange(len(packed))):
        raise InputError(f"the order must name each of the {len(packed)} rows once, highest-ranked first.")
    rows = _Rows(
        features=structure(row_texts(packed, texts)).columns(),
        domains=packed.row_domains,
        lengths=packed.lengths.astype(np.float64),
        losses=losses,
        influence=influence,
        rank=np.argsort(order),
    )
    natural = ~np.isin(rows.domains, list(planted))
    pools = (
        {EVERYTHING: rows} if natural.all() or not natural.any() else {EVERYTHING: rows, NATURAL: rows.only(natural)}
    )
    return Character(
        fraction=fraction, pools=tuple(_pool(name, pool, fraction, seed, draws) for name, pool in pools.items())
    )


def row_texts(packed: Packed, texts: Mapping[str, str]) -> list[str]:
    """The characters that each row's tokens cover, BOS and padding left out.

    Raises:
        InputError: a row's document has no text.
    """
    missing = [name for name in packed.row_ids.tolist() if name not in texts]
    if missing:
        raise InputError(f"no text for document {missing[0]!r}: give the texts of the corpus that was packed.")
    begins = packed.offsets[:, 1, 0]
    ends = packed.offsets[np.arange(len(packed)), packed.lengths, 1]
    rows = zip(packed.row_ids.tolist(), begins.tolist(), ends.tolist(), strict=True)
    return [texts[name][begin:end] for name, begin, end in rows]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """What is known of each row; `rank` orders them, the highest-ranked first."""

    features: dict[str, Float[np.ndarray, "row"]]
    domains: Shaped[np.ndarray, "row"]
    lengths: Float[np.ndarray, "row"]
    losses: Float[np.ndarray, "row"]
    influence: Float[np.ndarray, "row"]
    rank: Int[np.ndarray, "row"]

    def only(self, kept: Bool[np.ndarray, "row"]) -> "_Rows":
        """Some of the rows."""
        return _Rows(
            features={name: column[kept] for name, column in self.features.items()},
            domains=self.domains[kept],
            lengths=self.lengths[kept],
            losses=self.losses[kept],
            influence=self.influence[kept],
            rank=self.rank[kept],
        )

    def top(self, fraction: float) -> Bool[np.ndarray, "row"]:
        """True for the highest-ranked `fraction` of them."""
        chosen = np.zeros(len(self.rank), dtype=bool)
        chosen[np.argsort(self.rank)[: top_count(len(self.rank), fraction)]] = True
        return chosen


def _pool(name: str, rows: _Rows, fraction: float, seed: int, draws: int) -> PoolCharacter:
    top, positive = rows.top(fraction), np.clip(rows.influence, 0, None)
    return PoolCharacter(
        pool=name,
        documents=len(top),
        top=int(top.sum()),
        comparisons=feature_differences(rows.features, top, _matchings(rows), seed=seed, draws=draws),
        domains=category_enrichment(rows.domains, top, seed=seed),
        influence=mass_enrichment(rows.domains, positive, seed=seed) if positive.any() else {},
    )


def _matchings(rows: _Rows) -> dict[str, np.ndarray]:
    loss = quantile_bins(rows.losses)
    return {
        OTHERS: np.zeros(len(loss), dtype=np.int64),
        SAME_DOMAIN: rows.domains,
        SAME_LOSS: loss,
        SAME_ALL: joint_strata(rows.domains, loss, quantile_bins(rows.lengths)),
    }
