"""The ladder of a claim: which rung is in which state."""

from report_samples import claims

from imprint.report import ladder
from imprint.report.ladder import State
from imprint.report.model import ClaimRecord, EvidenceRecord
from imprint.stats.claims import RUNGS


def states(claim: ClaimRecord) -> dict[int, State]:
    return {rung.number: rung.state for rung in ladder.rungs(claim)}


def claim(*evidence: tuple[int, bool | None], rung: int | None = None) -> ClaimRecord:
    records = tuple(EvidenceRecord(rung=place, name="e", passed=passed) for place, passed in evidence)
    return ClaimRecord(data="d", mechanism="m", capability="c", rung=rung, evidence=records)


def test_six_rungs_from_the_top_with_the_names_of_the_field():
    rungs = ladder.rungs(claim())
    assert [rung.number for rung in rungs] == [5, 4, 3, 2, 1, 0]
    assert [rung.name for rung in reversed(rungs)] == list(RUNGS)
    assert {rung.state for rung in rungs} == {State.ABSENT}
    assert not any(rung.stands for rung in rungs)


def test_a_gap_holds_back_what_lies_above_it():
    strong = claims()[0]
    assert states(strong) == {
        0: State.SHOWN, 1: State.SHOWN, 2: State.SHOWN, 3: State.ABSENT, 4: State.HELD, 5: State.ABSENT,
    }  # fmt: skip
    assert [rung.number for rung in ladder.rungs(strong) if rung.stands] == [2]


def test_one_failed_control_outweighs_any_number_of_passes():
    assert states(claim((2, True), (2, True), (2, False), rung=2))[2] is State.FAILED


def test_evidence_without_a_verdict_is_never_counted_as_shown():
    assert states(claim((1, None), rung=1))[1] is State.OPEN


def test_an_unmeasured_rung_below_the_standing_is_not_shown():
    assert states(claim((1, True), rung=1))[0] is State.ABSENT


def test_the_standing_in_words():
    assert ladder.standing(claim(rung=4)) == "rung 4, data-causal"
    assert ladder.standing(claim()) == "no rung reached"
