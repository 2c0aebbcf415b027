"""What the report says about mechanisms beside the one studied, and about the circuit: records of `location.json`."""

from collections.abc import Mapping
from typing import Any

from pydantic import NonNegativeInt

from imprint.report.records import EffectRecord, Record
from imprint.report.wording import listing, number

SHOWN = 6
"""Heads of each mechanism in the report: the highest scores."""


class ScoredHeadRecord(Record):
    """The score of one head and its rank among the largest scores by chance."""

    head: str
    score: EffectRecord
    p: float
    """Against the largest score of any head; the larger of shuffled targets and fresh models."""
    role: str = ""
    """The mechanism's name if the head has it."""


class ScoredMechanismRecord(Record):
    """The heads with the highest scores under one mechanism."""

    mechanism: str
    heads: tuple[ScoredHeadRecord, ...]
    """Highest score first."""
    scored: NonNegativeInt
    """How many heads there are."""
    called: tuple[str, ...] = ()
    """Every head that has the mechanism, also those that are not shown."""
    null_95: float
    """The largest score of any head that chance gives, 95 % of the time."""
    draws: NonNegativeInt

    @property
    def reading(self) -> str:
        """Which heads have it, in one sentence."""
        if not self.called:
            return f"No {self.mechanism} head: no score beats the largest that chance gives."
        best = self.heads[0]
        heads = "head" if len(self.called) == 1 else "heads"
        return f"{self.mechanism.capitalize()} {heads}: {listing(self.called)} (highest score {number(best.score.estimate)})."


class PathRecord(Record):
    """What the path from a sender to a receiver carries. Positive: without it there is less."""

    sender: str
    receiver: str
    role: str
    """What the receiver hears through: q, k or v."""
    prefix_matching: EffectRecord
    """Attention to the place of the token to be copied."""
    copying: EffectRecord
    """Log-probability of the copy, in nats a token."""

    @property
    def carries(self) -> bool:
        """Whether both intervals lie above 0."""
        return all(effect.low is not None and effect.low > 0 for effect in (self.prefix_matching, self.copying))


class CircuitRecord(Record):
    """The paths into the best induction head that were patched."""

    paths: tuple[PathRecord, ...]

    @property
    def reading(self) -> str:
        """Whether the circuit stands, in one sentence."""
        receiver = self.paths[0].receiver
        keys = [path for path in self.paths if path.role == "k" and path.carries]
        if not keys:
            return (
                f"No head below costs {receiver} attention and copying through its keys, so the circuit is not shown."
            )
        single = [
            path for path in keys if "+" not in path.sender
        ]  # several patched as one only where none stands alone
        best = max(single or keys, key=lambda path: path.copying.estimate)
        return (
            f"{best.sender} tells {receiver} through its keys where to look: without that it pays"
            f" {number(best.prefix_matching.estimate)} less attention there, and copying loses"
            f" {number(best.copying.estimate)} nats a token."
        )


def mechanism_records(
    location: Mapping[str, Any],
) -> tuple[tuple[ScoredMechanismRecord, ...], CircuitRecord | None]:
    """The mechanisms and the circuit of a `location.json`; neither where it was written without them or found no circuit."""
    mechanisms = tuple(_mechanism(found) for found in location.get("mechanisms", {}).values())
    paths = tuple(PathRecord.model_validate(path) for path in location.get("circuit", ()))
    return mechanisms, CircuitRecord(paths=paths) if paths else None


def _mechanism(found: Mapping[str, Any]) -> ScoredMechanismRecord:
    keys = ("head", "score", "p", "role")
    heads = sorted(found["heads"], key=lambda head: -head["score"]["estimate"])
    return ScoredMechanismRecord(
        mechanism=found["mechanism"],
        heads=tuple(ScoredHeadRecord.model_validate({key: head[key] for key in keys}) for head in heads[:SHOWN]),
        scored=len(heads),
        called=tuple(head["head"] for head in heads if head["role"]),
        null_95=found["null_95"],
        draws=found["draws"],
    )
