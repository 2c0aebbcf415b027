"""The answer of a susceptibility study in plain lines: what explains the outcome, each verdict, and what was left out."""

from collections.abc import Iterable, Mapping

from imprint.report.wording import count, interval, number, p_words, percent
from imprint.stats import Hypothesis, Undefined, Verdict
from imprint.studies import SusceptibilityResult
from imprint.studies.susceptibility import VARIANCE, Examined, Named, NotExamined, metric_of
from imprint.studies.variance import Detectable

_ANYTHING: Mapping[Named, str] = {"nothing to explain": "No sign of it", "unknown": "Not judged"}


def susceptibility_lines(result: SusceptibilityResult) -> tuple[str, ...]:
    """What explains it, whether there is anything to explain, one line a hypothesis, what a rule skipped, contamination."""
    verdicts = [_verdict(one) for one in result.examined if not (isinstance(one, NotExamined) and one.by_rule)]
    return (_named(result), _anything(result), *verdicts, *_skipped(result.examined), _contamination(result))


def gate_of(result: SusceptibilityResult) -> tuple[Hypothesis, Examined] | None:
    """The registered hypothesis that everything depends on: that conditions differ in the primary outcome."""
    pairs = zip(result.study.hypotheses, result.examined, strict=True)
    wanted = (VARIANCE, result.explanation.outcome)
    return next(((asked, found) for asked, found in pairs if metric_of(asked.metric) == wanted), None)


def _named(result: SusceptibilityResult) -> str:
    found = result.explanation
    also = f" Supported too: {', '.join(found.also)}." if found.also else ""
    return f"What explains '{found.outcome}'? {found.named[:1].upper()}{found.named[1:]}. {found.sentence}{also}"


def _anything(result: SusceptibilityResult) -> str:
    study, gate = result.study, gate_of(result)
    word = _ANYTHING.get(result.explanation.named, "Yes")
    found = None if gate is None else gate[1]
    level = "" if gate is None else f" at \u03b1 = {gate[0].alpha:g}"
    tested = f" ({p_words(found.p)}{level})" if isinstance(found, Verdict) else ""
    seen = result.variance[0].detectable
    sight = "" if isinstance(seen, Undefined) else _sight(seen)
    return (
        f"Is there anything to explain? {word}{tested}, from {count(len(study.conditions), 'condition')} of"
        f" {count(study.pipelines.seeds, 'pipeline')} each.{sight}"
    )


def _sight(seen: Detectable) -> str:
    return (
        f" At \u03b1 = {seen.alpha:g} this design misses conditions that explain less than {percent(seen.icc)} of the pipelines'"
        " variance more often than one time in five."
    )


def _verdict(found: Examined) -> str:
    if isinstance(found, NotExamined):
        return f"{found.id} not examined. {found.statement} Reason: {found.reason}."
    value = f"{number(found.statistic)} {interval(found.low, found.high)}"
    short = found.reason.partition(" (")[0]
    return f"{found.id} {found.verdict}. {found.statement} {value}, {p_words(found.p)}: {short}."


def _skipped(examined: Iterable[Examined]) -> list[str]:
    """One line a registered reason for which hypotheses were not examined."""
    reasons: dict[str, list[str]] = {}
    for one in examined:
        if isinstance(one, NotExamined) and one.by_rule:
            reasons.setdefault(one.reason, []).append(one.id)
    return [f"{', '.join(ids)} not examined, by a registered rule: {reason}." for reason, ids in reasons.items()]


def _contamination(result: SusceptibilityResult) -> str:
    found, unjudged = result.contamination, len(result.contamination.summary["unjudged"])
    items = len(found.items | set(found.summary["clean"]) | set(found.summary["unjudged"]))
    return (
        f"Contamination: {len(found.items)} of {count(items, 'evaluation item')} found in training text;"
        f" {number(unjudged)} too short or formulaic to look for."
    )
