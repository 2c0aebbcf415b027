"""Which categories (domains) are over-represented among treated documents, or carry more of a sum than their size."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import stats

from imprint.errors import InputError
from imprint.stats.effects import Effect
from imprint.stats.multiplicity import benjamini_hochberg
from imprint.stats.samples import NO_SPREAD, require_sample

_ENDS = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryEnrichment:
    """One category's share among the treated documents beside its share of all documents."""

    category: str
    documents: int
    treated: int
    enrichment: Effect
    """Share among the treated over share of all: 1 by chance, above 1 over-represented."""
    p: float
    """Two-sided, Fisher's exact test of category against treatment."""
    q: float
    """p after Benjamini-Hochberg over the categories."""


def category_enrichment(
    categories: Shaped[np.ndarray, " doc"], treated: Bool[np.ndarray, " labels"], *, seed: int, draws: int = 2000
) -> tuple[CategoryEnrichment, ...]:
    """Each category's enrichment among the treated documents, in alphabetical order.

    The interval holds 95 % of draws in which both shares, among treated and among untreated documents, follow their
    posterior under Jeffreys' prior: a smooth bootstrap that keeps a width where no or every document is of the category.

    Raises:
        InputError: the lengths differ, or no or every document is treated.

    Trust: assumes independent documents; passages of one document make interval and p too small.
    """
    if categories.shape != treated.shape:
        raise InputError(f"{categories.size} categories do not fit {treated.size} documents: give one a document.")
    if not treated.any() or treated.all():
        raise InputError(f"{treated.sum()} of {treated.size} documents are treated: a comparison needs both arms.")
    names, codes = np.unique(categories, return_inverse=True)
    inside, outside = (np.bincount(codes[arm], minlength=len(names)) for arm in (treated, ~treated))
    p = np.array([_fisher(int(k), int(r), treated) for k, r in zip(inside, outside, strict=True)])
    generator = np.random.default_rng(seed)
    return tuple(
        CategoryEnrichment(
            category=str(name),
            documents=int(k + r),
            treated=int(k),
            enrichment=_ratio(int(k), int(r), treated, generator, draws),
            p=float(one),
            q=float(q),
        )
        for name, k, r, one, q in zip(names, inside, outside, p, benjamini_hochberg(p), strict=True)
    )


def mass_enrichment(
    categories: Shaped[np.ndarray, " doc"], mass: Float[np.ndarray, " masses"], *, seed: int, draws: int = 1000
) -> dict[str, Effect]:
    """Each category's share of the summed `mass` over its share of the documents; 1: it counts as much as its size.

    The interval is a percentile bootstrap over documents; it does not depend on the order of the documents.

    Raises:
        InputError: the lengths differ, a mass is negative or none is positive.
        SelfCheckFailed: a mass is not finite.

    Trust: too narrow where a few documents carry most of the mass, and for a category of a handful of documents.
    """
    if categories.shape != mass.shape:
        raise InputError(f"{categories.size} categories do not fit {mass.size} documents: give one a document.")
    require_sample(mass, name="the mass")
    if mass.min() < 0 or mass.max() == 0:
        raise InputError(f"a mass lies between {mass.min()} and {mass.max()}: it must be 0 or more, and some positive.")
    names, codes = np.unique(categories, return_inverse=True)
    order = np.lexsort((mass, codes))
    codes, values = codes[order], mass[order].astype(np.float64)
    found = _mass_ratios(codes, values, len(names))
    generator = np.random.default_rng(seed)
    picks = (generator.integers(len(codes), size=len(codes)) for _ in range(draws))
    drawn = np.array([_mass_ratios(codes[pick], values[pick], len(names)) for pick in picks])
    low, high = np.nanpercentile(drawn, _ENDS, axis=0)
    return {
        str(name): _effect(float(one), float(a), float(b), len(codes), "share of the sum / share of the documents")
        for name, one, a, b in zip(names, found, low, high, strict=True)
    }


def _fisher(inside: int, outside: int, treated: Bool[np.ndarray, " doc"]) -> float:
    chosen = int(treated.sum())
    table = np.array([[inside, outside], [chosen - inside, treated.size - chosen - outside]])
    return min(1.0, float(stats.fisher_exact(table).pvalue))


def _ratio(
    inside: int, outside: int, treated: Bool[np.ndarray, " doc"], generator: np.random.Generator, draws: int
) -> Effect:
    chosen, rest = int(treated.sum()), int((~treated).sum())
    top = generator.beta(inside + 0.5, chosen - inside + 0.5, draws)
    others = generator.beta(outside + 0.5, rest - outside + 0.5, draws)
    everywhere = (chosen * top + rest * others) / treated.size
    low, high = np.percentile(top / everywhere, _ENDS)
    estimate = (inside / chosen) / ((inside + outside) / treated.size)
    metric = "share among the treated / share of all"
    return _effect(estimate, min(float(low), estimate), max(float(high), estimate), treated.size, metric)


def _mass_ratios(codes: np.ndarray, values: np.ndarray, count: int) -> Float[np.ndarray, " category"]:
    """NaN for a category without a document, or where the whole mass is 0."""
    documents = np.bincount(codes, minlength=count)
    share = np.bincount(codes, weights=values, minlength=count) / (values.sum() or np.nan)
    return np.asarray(share * codes.size / np.where(documents, documents, np.nan))


def _effect(estimate: float, low: float, high: float, n: int, metric: str) -> Effect:
    note = "" if low < high else NO_SPREAD
    return Effect(
        estimate=estimate, low=low, high=high, n=n, unit="document", control="chance 1", metric=metric, note=note
    )
