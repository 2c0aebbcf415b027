"""AT-E2E on the scorecard: retraining must give back the planted permutation; what cheap methods give is only reported."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64

from imprint.corpus import ABILITIES, KINDS
from imprint.runs import Executor, Reporter, Store
from imprint.stats import Effect, MatrixCorrelation, assignment, matched_p, matrix_correlation
from imprint.studies.ability_perturbations import BASELINES, DOSES
from imprint.studies.ability_training import AbilityTraining
from imprint.studies.planted_abilities import (
    EVERYTHING,
    TRUTH,
    WORLD,
    DeletionTruth,
    deletion_truth,
    family_matrix,
    influence_records,
)
from imprint.studies.scorecard import Overview, Row, Scorecard

RETRAINING = "retraining without each kind"
LEARNED = 0.8
"""Share of the way from chance to perfect that every ability must reach in every untouched run."""
SPAN = "share above chance"
_TIE = 1e-9
"""Taken off a method's own cells, so that a tie is no match."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodMatch:
    """What one cheap method says of which kind gave which ability, beside the truth."""

    method: str
    measure: str
    """Accuracy or log-prob of the gold answer; for baselines, a similarity."""
    phi: Float64[np.ndarray, "kind ability"]
    matched: int
    """Kinds that the best one-to-one match gives their own ability, of 4 (1 is expected by chance)."""
    largest: int
    """Kinds whose own ability has the largest effect of its row and of its column."""
    recovered: bool
    """The best match is the planted one, and every match is the largest of its row and column."""
    significant: int | None
    """Kinds that hurt their own ability more than matched controls do, q <= .05; None for baselines."""
    correlation: MatrixCorrelation | None
    """With the truth; None where all cells of the method, or of the truth, are equal."""


def abilities_scorecard(
    training: AbilityTraining, seeds: int, store: Store, executor: Executor, reporter: Reporter
) -> Scorecard:
    """The truth over `seeds` pipelines, then every cheap method on the same untouched runs (resumable)."""
    truth = deletion_truth(training, seeds, store, executor, reporter)
    matches = method_matches(influence_records(training, seeds, store, executor, reporter), truth)
    return Scorecard(
        rows=(*truth_rows(truth), *(row for match in matches for row in match_rows(match))),
        overviews=(truth_overview(truth), matches_overview(matches)),
    )


def truth_rows(truth: DeletionTruth) -> list[Row]:
    """The gates (all was learned; own loss largest of row and column, together and by its interval), then every cell.

    Trust: with one seed there is no interval and the gates look at the estimate alone.
    """
    lowest, found = float(truth.untouched.min()), assignment(truth.matrix, draws=1)
    over = f"over {_seeds(truth)}"
    ends = "both ways the largest"
    recovered = found.dominant if found.abilities == TRUTH else 0
    passed = found.recovers(TRUTH)
    return [
        _row("untouched", f"lowest ability {over}", SPAN, lowest, f">= {LEARNED}", lowest >= LEARNED),
        _row(RETRAINING, f"kinds whose own ability loses most, {ends}, {over}", "of 4", recovered, "= 4", passed),
        _row(RETRAINING, "planted match among all 24", "permutation p", matched_p(truth.matrix, TRUTH)),
        *(_lead_row(truth, kind) for kind in TRUTH),
        *(_cell_row(truth, kind, ability) for kind in TRUTH for ability in TRUTH),
    ]


def _lead_row(truth: DeletionTruth, kind: int) -> Row:
    words = f"without {KINDS[kind]}: loss of {ABILITIES[kind]} minus the largest other of its row and column"
    value = float(truth.lead(kind).mean())
    if len(truth.untouched) == 1:
        return _row(RETRAINING, f"{words}, one seed", SPAN, value, "> 0", value > 0)
    effect = truth.lead_effect(kind)
    return _row(RETRAINING, f"{words} {_interval(effect)}", SPAN, value, "> 0 by its interval", effect.low > 0)


def _cell_row(truth: DeletionTruth, kind: int, ability: int) -> Row:
    words = f"loss of {ABILITIES[ability]} without {KINDS[kind]}"
    interval = "" if len(truth.untouched) == 1 else f" {_interval(truth.effect(kind, ability))}"
    return _row(RETRAINING, words + interval, SPAN, truth.matrix[kind, ability])


def truth_overview(truth: DeletionTruth) -> Overview:
    """Four by four: what every ability loses without every kind, with its interval."""
    one = len(truth.untouched) == 1
    lines = []
    for kind in TRUTH:
        cells = [f"{truth.matrix[kind, ability]:+.2f}" for ability in TRUTH]
        if not one:
            cells = [f"{cell} {_interval(truth.effect(kind, ability))}" for ability, cell in enumerate(cells)]
        lines.append((f"without {KINDS[kind]}", *cells))
    title = f"Four abilities: what is lost by retraining without each kind ({SPAN}, {_seeds(truth)})"
    return Overview(title=title, columns=("", *ABILITIES), lines=tuple(lines))


def method_matches(table: pl.DataFrame, truth: DeletionTruth) -> list[MethodMatch]:
    """Every family of perturbations by both metrics, their mean, and the baselines."""
    perturbed = [
        _match(table, truth, family, metric) for family in (*DOSES, EVERYTHING) for metric in ("correct", "log_prob")
    ]
    return perturbed + [_match(table, truth, baseline, "correct") for baseline in BASELINES]


def _match(table: pl.DataFrame, truth: DeletionTruth, family: str, metric: str) -> MethodMatch:
    matrix = family_matrix(table, family, metric=metric)
    phi = matrix.mean
    best = assignment(phi - _TIE * np.eye(len(KINDS)), draws=1)
    similarity, differ = family in BASELINES, min(np.ptp(phi), np.ptp(truth.matrix)) > 0
    return MethodMatch(
        method=family,
        measure="similarity" if similarity else "accuracy" if metric == "correct" else "log-prob",
        phi=phi,
        matched=sum(column == row for row, column in enumerate(best.abilities)),
        largest=_largest(phi),
        recovered=best.recovers(TRUTH),
        significant=None if similarity else int(((np.diag(matrix.q) <= 0.05) & (np.diag(phi) > 0)).sum()),
        correlation=matrix_correlation(phi, truth.matrix) if differ else None,
    )


def _largest(phi: Float64[np.ndarray, "kind ability"]) -> int:
    """Diagonal cells that are the largest of their row and of their column."""
    diagonal = np.diag(phi)
    return int(((diagonal == phi.max(1)) & (diagonal == phi.max(0)) & (np.ptp(phi, axis=1) > 0)).sum())


def match_rows(match: MethodMatch) -> list[Row]:
    """One cheap method on the scorecard, without a gate: what it recovers is the finding."""
    by = match.measure
    rows = [
        _row(match.method, f"planted permutation recovered, {by}", "1 = yes", match.recovered),
        _row(match.method, f"kinds matched with their own ability, {by}", "of 4", match.matched),
        _row(match.method, f"own ability the largest of row and column, {by}", "of 4", match.largest),
    ]
    if match.significant is not None:
        words = f"own ability hurt more than by controls, q <= .05, {by}"
        rows.append(_row(match.method, words, "of 4", match.significant))
    if match.correlation is not None:
        words = f"rank correlation with retraining, {by}"
        rows.append(_row(match.method, words, "rho", match.correlation.rho))
        rows.append(_row(match.method, f"{words}, relabelled", "permutation p", match.correlation.p))
    return rows


def matches_overview(matches: Sequence[MethodMatch]) -> Overview:
    """A line a method and metric: what it recovers of the planted permutation, and how it ranks with the truth."""
    lines: list[tuple[str | int, ...]] = []
    for match in matches:
        tied = match.correlation
        close = ("constant", "") if tied is None else (f"{tied.rho:+.2f}", f"{tied.p:.3f}")
        told = "" if match.significant is None else match.significant
        recovers = "yes" if match.recovered else "no"
        lines.append((match.method, match.measure, recovers, match.matched, match.largest, told, *close))
    columns = ("method", "by", "recovers", "matched", "largest", "beyond controls", "rho with retraining", "p")
    title = "Four abilities: what cheap methods recover (of 4; 1 matched is chance)"
    return Overview(title=title, columns=columns, lines=tuple(lines))


def _seeds(truth: DeletionTruth) -> str:
    count = len(truth.untouched)
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _interval(effect: Effect) -> str:
    return f"[{effect.low:+.2f}, {effect.high:+.2f}]"


def _row(
    method: str, question: str, metric: str, value: float | int, gate: str = "", passed: bool | None = None
) -> Row:
    return Row(
        world=WORLD, method=method, question=question, metric=metric, value=float(value), gate=gate, passed=passed
    )
