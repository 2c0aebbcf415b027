"""The claim that the verdicts add up to, on the evidence ladder."""

from collections.abc import Sequence

from imprint.stats import Claim, Effect, Evidence, Hypothesis, Verdict
from imprint.studies.susceptibility.examined import Examined, supported
from imprint.studies.susceptibility.hypotheses import REMOVAL, REPRESENTATION, SURFACE, metric_of
from imprint.studies.susceptibility.removal import RemovalFinding
from imprint.studies.susceptibility.representation import RepresentationFinding

_TRUST = {
    SURFACE: "A correlation over conditions: they differ in more than their words.",
    REPRESENTATION: "A correlation over conditions: any change of the data changes the representation too.",
    REMOVAL: "Rows are left out by weight 0 in the same order; another share may give another answer.",
}


def draw_claims(
    hypotheses: Sequence[Hypothesis],
    examined: Sequence[Examined],
    *,
    outcome: str,
    representation: RepresentationFinding | None,
    removal: RemovalFinding | None,
) -> list[Claim]:
    """One claim about an outcome: its correlations on rung 0, the rerun without its driving rows on rung 4."""
    evidence = []
    for hypothesis, found in zip(hypotheses, examined, strict=True):
        metric, named = metric_of(hypothesis.metric)
        if isinstance(found, Verdict) and named == outcome and metric in _TRUST:
            evidence.append(_evidence(metric, found))
    best = None if removal is None else min(removal.removals, key=lambda one: one.p)
    data = "the conditions' corpora" if best is None else f"{len(best.drivers)} conversations of {best.condition}"
    mechanism = "the representation before the last stage" if representation is not None else "no named mechanism"
    return [Claim(data=data, mechanism=mechanism, capability=outcome, evidence=tuple(evidence))] if evidence else []


def _evidence(metric: str, found: Verdict) -> Evidence:
    return Evidence(
        rung=4 if metric == REMOVAL else 0,
        name=found.statement,
        effect=Effect(
            estimate=found.statistic,
            low=found.low,
            high=found.high,
            n=found.n,
            unit=found.unit,
            control="as many random rows left out" if metric == REMOVAL else "conditions shuffled over outcomes",
            metric=found.metric,
        ),
        passed=supported(found),
        note=found.reason,
        null=found.test,
        trust=_TRUST[metric],
    )
