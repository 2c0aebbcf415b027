"""What became of a registered hypothesis: a verdict, or the reason why it was not examined."""

from dataclasses import asdict, dataclass
from typing import Any

from imprint.stats import Hypothesis, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class NotExamined:
    """A registered hypothesis without a verdict: a stopping rule came first, or there was nothing to compute."""

    id: str
    statement: str
    metric: str
    reason: str
    by_rule: bool
    """A registered stopping rule, not the data, is the reason."""

    @staticmethod
    def of(hypothesis: Hypothesis, reason: str, *, by_rule: bool = False) -> "NotExamined":
        """The registered hypothesis, with why it has no verdict."""
        return NotExamined(
            id=hypothesis.id,
            statement=hypothesis.statement,
            metric=hypothesis.metric,
            reason=reason,
            by_rule=by_rule,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain words, ready for JSON."""
        return {"verdict": "not examined", **asdict(self)}


Examined = Verdict | NotExamined


def supported(found: Examined) -> bool:
    """Whether it has a verdict, and that is "supported"."""
    return isinstance(found, Verdict) and found.verdict == "supported"
