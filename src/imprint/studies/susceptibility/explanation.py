"""What the verdicts add up to: which explanation may be named, or that there is nothing to explain."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imprint.stats import Hypothesis, Verdict
from imprint.studies.examined import Examined, supported
from imprint.studies.susceptibility.hypotheses import REMOVAL, REPRESENTATION, SURFACE, VARIANCE, metric_of

Named = Literal["few conversations", "surface", "representation", "unexplained", "nothing to explain", "unknown"]
_ORDER: tuple[tuple[str, Named], ...] = (
    (REMOVAL, "few conversations"),
    (SURFACE, "surface"),
    (REPRESENTATION, "representation"),
)
"""A removal that was rerun is evidence of a cause and comes first; the correlations follow, the cheapest first."""
_SENTENCES: dict[Named, str] = {
    "few conversations": "A few conversations hold the outcome where it is: without them it moves towards the other"
    " conditions by a pipeline's sd or more, without as many others it does not.",
    "surface": "The conditions' text alone ranks their outcomes: look at the words before looking into the models.",
    "representation": "The text does not rank the outcomes, but the checkpoints' representation before the last stage does.",
    "unexplained": "Conditions differ beyond their pipelines, but nothing that was tried explains how.",
    "nothing to explain": "There is no sign that conditions differ by more than pipeline seeds do: there is nothing to explain.",
    "unknown": "Whether conditions differ was not judged, so no explanation is named.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """The named explanation; an explanation is named only if the conditions differ."""

    named: Named
    sentence: str
    outcome: str
    also: tuple[Named, ...] = ()
    """Other explanations whose hypotheses were supported too."""

    def as_dict(self) -> dict[str, Any]:
        """Plain words, ready for JSON."""
        return asdict(self)


def explain(hypotheses: Sequence[Hypothesis], examined: Sequence[Examined], outcome: str) -> Explanation:
    """The explanation of one outcome from the verdicts of the hypotheses about it.

    Trust: serial gatekeeping: the chance to name anything where conditions do not differ is at most the level at which
    the variance hypothesis was registered (.01 by default), whatever the other hypotheses do.
    """
    about = {
        metric: found
        for hypothesis, found in zip(hypotheses, examined, strict=True)
        for metric, named in [metric_of(hypothesis.metric)]
        if named == outcome
    }
    gate = about.get(VARIANCE)
    if gate is None or not isinstance(gate, Verdict):
        return _named("unknown", outcome)
    if not supported(gate):
        return _named("nothing to explain", outcome)
    passed = [name for metric, name in _ORDER if metric in about and supported(about[metric])]
    return _named(passed[0] if passed else "unexplained", outcome, tuple(passed[1:]))


def _named(name: Named, outcome: str, also: tuple[Named, ...] = ()) -> Explanation:
    return Explanation(named=name, sentence=_SENTENCES[name], outcome=outcome, also=also)
