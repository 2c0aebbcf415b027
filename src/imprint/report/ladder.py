"""The evidence ladder of a claim: six rungs, what was shown on each, and where the claim stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from imprint.report.model import ClaimRecord, EvidenceRecord
from imprint.stats.claims import RUNG_MEANING, RUNGS


class State(StrEnum):
    """What is known about a rung."""

    SHOWN = "shown"
    HELD = "shown, but a rung below is missing"
    FAILED = "not shown"
    OPEN = "measured, no verdict"
    ABSENT = "not measured"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One rung of one claim; `stands` on the highest that the claim reached."""

    number: int
    name: str
    asks: str
    state: State
    stands: bool
    evidence: tuple[EvidenceRecord, ...]


def rungs(claim: ClaimRecord) -> list[Rung]:
    """The six rungs, highest first, as a ladder is drawn."""
    return [_rung(number, claim) for number in reversed(range(len(RUNGS)))]


def standing(claim: ClaimRecord) -> str:
    """The rung that the claim stands on ("rung 4, data-causal"), or that it stands on none."""
    return "no rung reached" if claim.rung is None else f"rung {claim.rung}, {RUNGS[claim.rung]}"


def _rung(number: int, claim: ClaimRecord) -> Rung:
    """One rung with its evidence."""
    evidence = tuple(item for item in claim.evidence if item.rung == number)
    return Rung(
        number=number,
        name=RUNGS[number],
        asks=f"{RUNG_MEANING[number][0].upper()}{RUNG_MEANING[number][1:]}.",
        state=_state(evidence, reached=claim.rung is not None and number <= claim.rung),
        stands=number == claim.rung,
        evidence=evidence,
    )


def _state(evidence: Sequence[EvidenceRecord], *, reached: bool) -> State:
    """A failed control outweighs any number of passes; evidence without a verdict shows nothing."""
    verdicts = {item.passed for item in evidence}
    if not evidence:
        return State.ABSENT
    if False in verdicts:
        return State.FAILED
    if verdicts == {None}:
        return State.OPEN
    return State.SHOWN if reached else State.HELD
