"""What became of the registered hypotheses of a study that may leave some unexamined, as records."""

from collections.abc import Sequence

from imprint.report.model import HypothesisRecord
from imprint.stats import Hypothesis
from imprint.studies.examined import Examined, NotExamined


def examined_records(asked: Sequence[Hypothesis], examined: Sequence[Examined]) -> tuple[HypothesisRecord, ...]:
    """Verdicts as they are; a hypothesis without one with what was registered."""
    return tuple(
        HypothesisRecord.model_validate({**one.model_dump(), "verdict": "not examined", "reason": found.reason})
        if isinstance(found, NotExamined)
        else HypothesisRecord.model_validate(found.as_dict())
        for one, found in zip(asked, examined, strict=True)
    )
