"""The claims that the tested graph allows, on the evidence ladder: one for each ability that an intervention moved."""

from collections.abc import Sequence

from imprint.emergence.graph import EdgeFindings, EdgeTest, RefinedEdge, RefinedGraph
from imprint.stats import Claim, Evidence
from imprint.studies.emergence.config import EmergenceStudy

_TRUST = "The effect of an intervention on training is total, over every path, and of the models of this study only."
_FEWEST_SEEDS, _FEWEST_SCALES = 5, 2


def draw_claims(study: EmergenceStudy, findings: EdgeFindings, refined: RefinedGraph) -> list[Claim]:
    """For every ability the strongest cause in the data, and the strongest component, among supported and added edges."""
    kinds = {node.name: node.kind for node in refined.graph.nodes}
    claims = []
    for ability in refined.graph.abilities:
        causes = [edge for edge in refined.in_state("supported", "added") if edge.effect == ability]
        data, component = (
            _strongest([one for one in causes if kinds[one.cause] == kind]) for kind in ("data", "component")
        )
        evidence = [
            _evidence(study, findings, edge, rung) for edge, rung in ((component, 2), (data, 4)) if edge is not None
        ]
        if data is not None and _replicated(study, findings, data):
            evidence.append(_evidence(study, findings, data, 5))
        if evidence:
            claims.append(
                Claim(
                    data="no data that was varied" if data is None else data.cause,
                    mechanism="no component that was varied" if component is None else component.cause,
                    capability=ability,
                    evidence=tuple(evidence),
                )
            )
    return claims


def _strongest(edges: Sequence[RefinedEdge]) -> RefinedEdge | None:
    return max(edges, key=lambda edge: abs(edge.estimate or 0.0), default=None)


def _test(findings: EdgeFindings, edge: RefinedEdge) -> EdgeTest:
    tests = (*findings.of(*edge.pair), *findings.held_of(*edge.pair))
    return next(test for test in tests if test.arm == edge.arm and test.q == edge.q)


def _evidence(study: EmergenceStudy, findings: EdgeFindings, edge: RefinedEdge, rung: int) -> Evidence:
    test = _test(findings, edge)
    assert test.found is not None
    scales = len(test.found.by_scale)
    seeds = f"{study.seeds} seeds at {scales} {'scale' if scales == 1 else 'scales'}"
    return Evidence(
        rung=rung,
        name=f"{edge.arm}: {edge.cause} on {edge.effect}" + (" at every scale" if rung == 5 else ""),
        effect=test.found.effect,
        passed=True,
        note=f"{edge.reason} {seeds}.",
        null="the untouched runs with the same seeds and scales, corrected for all effects tested",
        trust=_TRUST,
    )


def _replicated(study: EmergenceStudy, findings: EdgeFindings, edge: RefinedEdge) -> bool:
    test = _test(findings, edge)
    assert test.found is not None
    signs = {one.estimate > 0 for one in test.found.by_scale}
    shown = all(one.low is not None and one.high is not None and one.low * one.high > 0 for one in test.found.by_scale)
    scales = len(test.found.by_scale)
    return study.seeds >= _FEWEST_SEEDS and scales >= _FEWEST_SCALES and shown and len(signs) == 1
