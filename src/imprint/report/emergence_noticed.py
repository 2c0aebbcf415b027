"""What was registered in an emergence study and not done: told without being asked."""

from imprint.report.wording import count, listing
from imprint.studies import EmergenceResult
from imprint.studies.emergence import held_out_runs, trained_runs
from imprint.studies.examined import NotExamined


def noticed(result: EmergenceResult) -> tuple[str, ...]:
    """Hypotheses that could not be judged, arms that did not move their node, edges that no arm tests, missing runs."""
    return (*_not_examined(result), *_failed_arms(result), *_untested(result), *_runs(result))


def _not_examined(result: EmergenceResult) -> list[str]:
    lost = [one for one in result.examined if isinstance(one, NotExamined)]
    return [f"{one.id} was registered and could not be examined: {one.reason}." for one in lost]


def _failed_arms(result: EmergenceResult) -> list[str]:
    failed = [one for one in result.findings.manipulations if one.moved is False]
    return [
        f"Arm '{one.arm}' did not move '{one.node}', the node it sets, so its tests do not count." for one in failed
    ]


def _untested(result: EmergenceResult) -> list[str]:
    """Hypothesised edges whose cause no arm sets alone."""
    alone = {arm.sets[0] for arm in result.study.interventions if len(arm.sets) == 1}
    causes = dict.fromkeys(edge.cause for edge in result.refined.graph.edges if edge.cause not in alone)
    if not causes:
        return []
    edges = sum(edge.cause in causes for edge in result.refined.graph.edges)
    return [
        f"{count(edges, 'hypothesised edge')} could not be tested, since no arm sets {listing(list(causes))} alone."
    ]


def _runs(result: EmergenceResult) -> list[str]:
    asked = len(trained_runs(result.study)) + len(held_out_runs(result.study))
    ran = result.table.select("scale", "arm", "seed").unique().height
    return [f"{count(ran, 'run')} of {asked} registered ones finished."] if ran < asked else []
