"""The findings of an emergence study as records of its report: graph, tests, forecasts, allocation."""

from collections.abc import Mapping

from imprint.emergence.graph import EdgeTest, Manipulation, RefinedEdge, RefinedGraph, ScaleEffect, drawing
from imprint.report.emergence_records import (
    AllocationRecord,
    ArmEffectRecord,
    EdgeRecord,
    ForecastRecord,
    GraphRecord,
    ManipulationRecord,
    NodeRecord,
    ScalePoint,
)
from imprint.report.records import EffectRecord
from imprint.report.wording import count, interval, number
from imprint.stats import Effect, Undefined
from imprint.studies import EmergenceResult
from imprint.studies.emergence import AllocationFinding, PredictionFinding

STATES = ("supported", "added", "dropped", "undecided")
"""The states of edges in the order in which they are shown."""


def graph_record(refined: RefinedGraph) -> GraphRecord:
    """The refined graph with the places of its nodes, its edges by state."""
    drawn = drawing(refined)
    registered = {edge.pair: edge for edge in refined.graph.edges}
    edges = [
        EdgeRecord(
            cause=edge.cause,
            effect=edge.effect,
            hypothesised="" if edge.state == "added" else registered[edge.pair].sign,
            sign=edge.sign,
            state=edge.state,
            reason=_sentence(edge.reason),
            because="" if edge.state == "added" else registered[edge.pair].because,
            arm=edge.arm,
            found=_edge_effect(edge),
            q=edge.q,
        )
        for edge in refined.edges
    ]
    return GraphRecord(
        title=drawn["title"],
        tiers=tuple(drawn["tiers"]),
        nodes=tuple(NodeRecord.model_validate(node) for node in drawn["nodes"]),
        edges=tuple(sorted(edges, key=lambda edge: STATES.index(edge.state))),
        notes=tuple(_sentence(note) for note in refined.notes),
    )


def _edge_effect(edge: RefinedEdge) -> EffectRecord | None:
    if edge.estimate is None:
        return None
    return EffectRecord(estimate=edge.estimate, low=edge.low, high=edge.high, unit="run", metric=edge.effect)


def _sentence(text: str) -> str:
    """With a full stop, and \u00b1 for what a terminal writes as +-."""
    told = text.replace("+-", "\u00b1")
    return told if told.endswith((".", "!", "?")) else f"{told}."


def effect_records(result: EmergenceResult) -> tuple[ArmEffectRecord, ...]:
    """Every test of a node that varies or was at its floor, those of joint arms last."""
    kinds = {node.name: node.kind for node in result.study.causal_graph.nodes}
    names = scale_names(result)
    tests = (*result.findings.tests, *result.findings.joint)
    return tuple(_effect(one, kinds[one.effect], names) for one in tests if one.found is None or one.found.varies)


def unvaried(result: EmergenceResult) -> int:
    """How many tests had nothing to test: the node has one value in all runs compared."""
    tests = (*result.findings.tests, *result.findings.joint)
    return sum(one.found is not None and not one.found.varies for one in tests)


def scale_names(result: EmergenceResult) -> dict[float, str]:
    """The name of every scale by its parameters."""
    return {float(params): str(name) for params, name in result.table.select("params", "scale").unique().iter_rows()}


def _effect(test: EdgeTest, kind: str, names: Mapping[float, str]) -> ArmEffectRecord:
    found = test.found
    return ArmEffectRecord(
        arm=test.arm,
        reference=test.reference,
        cause=test.cause,
        effect=test.effect,
        kind=kind,
        held=test.held,
        found=None if found is None else EffectRecord.model_validate(found.effect.as_dict()),
        in_control_sd=None if found is None else found.in_control_sd,
        p=None if found is None else found.p,
        q=test.q,
        matters=test.matters,
        margin=test.margin,
        word=outcome_word(test),
        by_scale=() if found is None else tuple(_at_scale(one, names) for one in found.by_scale),
        at_floor=tuple(names[scale] for scale in test.at_floor),
        p_scales=None if found is None else found.p_scales,
    )


def _at_scale(one: ScaleEffect, names: Mapping[float, str]) -> ScalePoint:
    return ScalePoint(scale=names[one.scale], estimate=one.estimate, low=one.low, high=one.high, pairs=one.pairs)


def outcome_word(test: EdgeTest) -> str:
    """What a test says about the arm's effect, in a few words."""
    if not test.valid:
        return "does not count: the arm did not move what it sets, or does not hold what it should"
    if test.found is None:
        return "at its floor at every scale" if test.at_floor else "not measured in 2 pairs"
    within = f"within \u00b1{number(test.margin)}"
    if not test.significant:
        return f"nothing beyond: {within}" if test.negligible else "undecided"
    moved = "raised" if test.found.effect.estimate > 0 else "lowered"
    if test.negligible:
        return f"{moved}, but {within}"
    return moved if test.same_at_scales else f"{moved}, and differs between scales"


def manipulation_record(one: Manipulation) -> ManipulationRecord:
    """Whether the arm did what it was to do."""
    found = None if one.found is None else EffectRecord.model_validate(one.found.effect.as_dict())
    return ManipulationRecord(arm=one.arm, node=one.node, moved=one.moved, found=found)


def forecast_record(result: EmergenceResult) -> ForecastRecord | None:
    """The predictions beside what came; None where none could be made or none was asked for."""
    found, held_out = result.prediction, result.study.held_out
    if not isinstance(found, PredictionFinding) or held_out is None:
        return None
    area = found.auc
    persistence = found.persistence_auc
    return ForecastRecord(
        scale=held_out.scale.name,
        asked_of=len(result.study.abilities) * (1 + len(result.study.interventions)),
        forecasts=found.forecasts,
        base_rate=found.base_rate,
        auc=EffectRecord.model_validate(area.as_dict()) if isinstance(area, Effect) else None,
        auc_undefined=area.reason if isinstance(area, Undefined) else "",
        auc_p=found.auc_p,
        persistence_auc=persistence if persistence == persistence else None,
        brier=found.brier,
        brier_base_rate=found.brier_base_rate,
        skill=EffectRecord.model_validate(found.skill.as_dict()),
        skill_p=found.skill_p,
        foretold=result.foretold,
        backtest=backtest_sentence(result),
    )


def backtest_sentence(result: EmergenceResult) -> str:
    """How well the smaller trained scales predict the largest one, or why that was not asked."""
    found, name = result.backtest, result.study.scales[-1].name
    if isinstance(found, Undefined):
        return f"The largest trained scale was not predicted from the smaller ones: {found.reason}"
    area = found.auc
    ranked = f"AUC {number(area.estimate)} {interval(area.low, area.high)}" if isinstance(area, Effect) else area.reason
    return (
        f"From the smaller trained scales alone, {name}: {count(len(found.forecasts), 'forecast')}, {ranked}; Brier score"
        f" {number(found.brier)}, base rate {number(found.brier_base_rate)}"
    )


def allocation_record(found: AllocationFinding | Undefined | None) -> AllocationRecord | None:
    """What each policy pays; None where policies were not compared."""
    if not isinstance(found, AllocationFinding):
        return None
    return AllocationRecord(
        targets=found.targets,
        abilities=found.abilities,
        arms=found.arms,
        over_oracle=tuple((name, EffectRecord.model_validate(one.as_dict())) for name, one in found.over_oracle),
        saving=EffectRecord.model_validate(found.saving.as_dict()),
        saving_p=found.saving_p,
    )
