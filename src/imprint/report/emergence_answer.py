"""The answer of an emergence study in five plain lines."""

from collections.abc import Iterable, Mapping

from imprint.emergence.graph import RefinedEdge
from imprint.report.emergence_findings import backtest_sentence
from imprint.report.emergence_trajectories import curve_records, shapes
from imprint.report.wording import count, interval, listing, number, p_words
from imprint.stats import Effect, Undefined
from imprint.studies import EmergenceResult
from imprint.studies.emergence import AUC, SAVING, SKILL
from imprint.studies.examined import NotExamined

_NAMED = 3


def emergence_lines(result: EmergenceResult) -> tuple[str, ...]:
    """What moves the abilities, how the graph fared, whether they came at once, the next scale, where compute pays."""
    return (_causes(result), _graph(result), _abruptness(result), _prediction(result), _allocation(result))


def edge_words(edge: RefinedEdge) -> str:
    """An edge as "novel repeats \u2192 copy"."""
    return f"{edge.cause} \u2192 {edge.effect}"


def _causes(result: EmergenceResult) -> str:
    """By ability the causes among supported and added edges, with the rung of its claim."""
    rungs = {claim.capability: claim.rung for claim in result.claims}
    causes = {name: [edge for edge in result.refined.in_state("supported", "added") if edge.effect == name]
              for name in result.study.abilities}  # fmt: skip
    moved = [_moved(name, edges, rungs.get(name)) for name, edges in causes.items() if edges]
    still = [name for name, edges in causes.items() if not edges]
    if still:
        moved.append(f"{listing(still)}: nothing that was varied, as far as these runs show")
    return f"What makes them emerge? {'; '.join(moved)}."


def _moved(ability: str, edges: Iterable[RefinedEdge], rung: int | None) -> str:
    words = listing([f"{edge.cause} ({_SIGNS[edge.sign]})" for edge in edges])
    return f"{ability}: {words}" + ("" if rung is None else f", rung {rung} of 5")


_SIGNS = {"+": "+", "-": "\u2212", "?": "sign unknown"}


def _graph(result: EmergenceResult) -> str:
    refined, counts = result.refined, result.refined.counts
    asked = len(refined.graph.edges)
    return (
        f"Did the graph hold? Of {count(asked, 'hypothesised edge')} {counts['supported']} {_is(counts['supported'])} supported,"
        f" {counts['dropped']} dropped{_named(refined.in_state('dropped'))} and {counts['undecided']} undecided;"
        f" {counts['added']} {_is(counts['added'])} added{_named(refined.in_state('added'))}."
    )


def _is(many: int) -> str:
    return "is" if many == 1 else "are"


def _named(edges: Iterable[RefinedEdge]) -> str:
    """The edges in brackets, or nothing."""
    words = listing([edge_words(edge) for edge in edges], _NAMED)
    return f" ({words})" if words else ""


def _abruptness(result: EmergenceResult) -> str:
    """By ability how it came, and at which scales so."""
    found = shapes(curve_records(result), result.abruptness)
    return f"At once, or smoothly? {'; '.join(_came(name, found) for name in result.study.abilities)}."


def _came(ability: str, found: Mapping[tuple[str, str], str]) -> str:
    scales: dict[str, list[str]] = {}
    for (name, scale), word in found.items():
        if name == ability:
            scales.setdefault(word, []).append(scale)
    if set(scales) <= {"not there"}:
        return f"{ability}: never there"
    return f"{ability}: {', '.join(f'{word} at {listing(names)}' for word, names in scales.items())}"


def _prediction(result: EmergenceResult) -> str:
    found, held_out = result.prediction, result.study.held_out
    if found is None or held_out is None:
        return "The next scale? None was held out."
    if isinstance(found, Undefined):
        return f"The next scale? Not predicted: {found.reason}. {backtest_sentence(result)}."
    area = found.auc
    ranked = f"AUC {number(area.estimate)} {interval(area.low, area.high)}" if isinstance(area, Effect) else area.reason
    when = "before it was trained" if result.foretold else "from the smaller scales, after runs of it had been trained"
    return (
        f"The next scale? {held_out.scale.name} was predicted {when}, {count(len(found.forecasts), 'forecast')}:"
        f" {ranked}; Brier score {number(found.brier)}, base rate {number(found.brier_base_rate)}{_verdicts(result, AUC, SKILL)}."
        f" {backtest_sentence(result)}."
    )


def _allocation(result: EmergenceResult) -> str:
    found = result.allocation
    if found is None:
        return "Where to spend compute? Not compared."
    if isinstance(found, Undefined):
        return f"Where to spend compute? Not compared: {found.reason}."
    saving, (best, paid) = found.saving, _cheapest(found.over_oracle)
    return (
        f"Where to spend compute? Uniform allocation needs {number(saving.estimate)} {interval(saving.low, saving.high)} times"
        f" what freeze-thaw needs ({p_words(found.saving_p)}); cheapest is {best}, at {number(paid.estimate)} times the"
        f" oracle{_verdicts(result, SAVING)}."
    )


def _cheapest(policies: Iterable[tuple[str, Effect]]) -> tuple[str, Effect]:
    """The policy that pays least, the oracle (which knows the runs) aside."""
    return min((one for one in policies if one[0] != "oracle"), key=lambda one: one[1].estimate)


def _verdicts(result: EmergenceResult, *metrics: str) -> str:
    """The verdicts of the hypotheses about these metrics: "; P1 supported, P2 inconclusive"."""
    pairs = zip(result.study.hypotheses, result.examined, strict=True)
    words = [
        f"{asked.id} {'not examined' if isinstance(found, NotExamined) else found.verdict}"
        for asked, found in pairs
        if asked.metric in metrics
    ]
    return f"; {', '.join(words)}" if words else ""
