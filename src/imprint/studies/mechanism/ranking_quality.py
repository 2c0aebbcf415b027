"""How well each ranking finds the planted cause, and which domains carry the influence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imprint.attribution import BASELINES, CONSENSUS, PROBES, Scores, ranking
from imprint.corpus import Packed
from imprint.stats import Effect, auc_effect, bootstrap_mean, top_purity
from imprint.studies.mechanism.options import BOILERPLATE, NOVEL_REPEATS


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodScore:
    """One ranking's answer to one question about the planted cause."""

    method: str
    question: str
    metric: str
    value: float
    effect: Effect | None
    """The value with its interval, where one was computed."""
    baseline: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainShare:
    """A domain's share of the documents beside its share of the top decile and of the influence."""

    domain: str
    documents: int
    corpus_share: float
    top_share: float
    """Share of the treated set that comes from this domain."""
    influence_share: float
    """Share of the sum of all positive influence."""
    mean_influence: Effect | None
    """Mean influence of a document of the domain, in units of the standard deviation over all documents; None where one
    document alone leaves no interval."""


def score_methods(folder: Path, packed: Packed, *, fraction: float) -> list[MethodScore]:
    """AUC of the planted novel repeats under every ranking, against all, boilerplate and natural text, and top purity."""
    cause = packed.row_domains == NOVEL_REPEATS
    if not cause.any() or cause.all():
        return []
    boilerplate = packed.row_domains == BOILERPLATE
    negatives = {"all other documents": ~cause, "natural text": ~cause & ~boilerplate}
    if boilerplate.any():
        negatives["boilerplate"] = boilerplate
    rows = []
    for name in (CONSENSUS, *Scores.load(folder).queries, *BASELINES):
        values = ranking(folder, name)
        for question, negative in negatives.items():
            kept = cause | negative
            effect = auc_effect(values[kept], cause[kept], seed=0, draws=200, control_name=question)
            rows.append(_row(name, f"{NOVEL_REPEATS} against {question}", "AUC", effect.estimate, effect))
        purity = top_purity(values, cause, fraction)
        rows.append(_row(name, f"top {fraction:.0%} that are {NOVEL_REPEATS}", "purity", purity, None))
    return rows


def _row(method: str, question: str, metric: str, value: float, effect: Effect | None) -> MethodScore:
    baseline = method in BASELINES or method.endswith("/dot")
    return MethodScore(method=method, question=question, metric=metric, value=value, effect=effect, baseline=baseline)


def cause_auc(methods: Sequence[MethodScore], ranking: str, negatives: str = "all other documents") -> Effect | None:
    """How well a ranking separates the planted novel repeats from other documents; None where nothing is planted."""
    question = f"{NOVEL_REPEATS} against {negatives}"
    found = (row.effect for row in methods if (row.method, row.question) == (ranking, question))
    return next(found, None)


def cause_purity(methods: Sequence[MethodScore], ranking: str) -> float | None:
    """The share of planted novel repeats among the documents that a ranking puts on top; None where nothing is planted."""
    return next((row.value for row in methods if (row.method, row.metric) == (ranking, "purity")), None)


def basis(ranking: str) -> str:
    """What a ranking ranks by, in words: influence, or the name of what was chosen in its place."""
    return "influence" if ranking in (CONSENSUS, *PROBES) else f"'{ranking}'"


def domain_shares(scores: np.ndarray, packed: Packed, top: np.ndarray) -> list[DomainShare]:
    """One row a domain, highest mean influence first."""
    domains = packed.row_domains
    spread = float(scores.std()) or 1.0
    positive = np.clip(scores, 0, None)
    total = float(positive.sum()) or 1.0
    ordered = sorted(np.unique(domains), key=lambda domain: -float(scores[domains == domain].mean()))
    return [
        DomainShare(
            domain=str(domain),
            documents=int((domains == domain).sum()),
            corpus_share=float((domains == domain).mean()),
            top_share=float((domains[top] == domain).mean()),
            influence_share=float(positive[domains == domain].sum()) / total,
            mean_influence=_mean_influence(scores[domains == domain] / spread),
        )
        for domain in ordered
    ]


def _mean_influence(values: np.ndarray) -> Effect | None:
    if len(values) < 2:
        return None
    return bootstrap_mean(
        values, seed=0, unit="document", control_name="zero influence", metric="influence (sd)", draws=1000
    )


def top_documents(order: np.ndarray, packed: Packed, *, per_domain: int, overall: int) -> Sequence[int]:
    """The rows to show: the highest-ranked ones overall, then the highest of every domain."""
    shown = dict.fromkeys(int(row) for row in order[:overall])
    for domain in np.unique(packed.row_domains):
        rows = order[packed.row_domains[order] == domain][:per_domain]
        shown.update(dict.fromkeys(int(row) for row in rows))
    return list(shown)
