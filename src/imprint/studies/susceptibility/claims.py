"""The claims that the verdicts allow, on the evidence ladder: one an explanation."""

from collections.abc import Sequence

from imprint.stats import Claim, Effect, Evidence, Hypothesis, Verdict
from imprint.studies.examined import Examined, supported
from imprint.studies.susceptibility.explanation import Explanation
from imprint.studies.susceptibility.hypotheses import REMOVAL, REPRESENTATION, SURFACE, metric_of
from imprint.studies.susceptibility.removal import RemovalFinding

_TRUST = {
    SURFACE: "A correlation over conditions: they differ in more than their words.",
    REPRESENTATION: "A correlation over conditions: any change of the data changes the representation too.",
    REMOVAL: "Rows are left out by weight 0 in the same order; another share may give another answer.",
}
_MECHANISM = {REPRESENTATION: "the representation before the last stage"}


def draw_claims(
    hypotheses: Sequence[Hypothesis],
    examined: Sequence[Examined],
    explanation: Explanation,
    removal: RemovalFinding | None,
) -> list[Claim]:
    """A claim for each explanation of an outcome that was examined: correlations on rung 0, the rerun removal on rung 4.

    Where conditions were not shown to differ, what was found is told beside the rung and holds nothing.
    """
    claims, outcome = [], explanation.outcome
    gated = explanation.named in ("nothing to explain", "unknown")
    for hypothesis, found in zip(hypotheses, examined, strict=True):
        metric, named = metric_of(hypothesis.metric)
        if isinstance(found, Verdict) and named == outcome and metric in _TRUST:
            claims.append(
                Claim(
                    data=_data(removal if metric == REMOVAL else None),
                    mechanism=_MECHANISM.get(metric, "no named mechanism"),
                    capability=outcome,
                    evidence=(_evidence(metric, found, gated),),
                )
            )
    return claims


def _data(removal: RemovalFinding | None) -> str:
    if removal is None:
        return "the conditions' corpora"
    best = min(removal.removals, key=lambda one: one.p)
    return f"{len(best.drivers)} conversations of {best.condition}"


def _evidence(metric: str, found: Verdict, gated: bool) -> Evidence:
    return Evidence(
        rung=4 if metric == REMOVAL else 0,
        name=found.statement,
        effect=Effect(
            estimate=found.statistic,
            low=found.low,
            high=found.high,
            n=found.n,
            unit=found.unit,
            control="as many random rows left out, or none"
            if metric == REMOVAL
            else "conditions shuffled over outcomes",
            metric=found.metric,
        ),
        passed=None if gated else supported(found),
        note=found.reason,
        null=found.test,
        trust=_TRUST[metric],
    )
